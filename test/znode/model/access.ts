import { createHash } from 'node:crypto'
import type { Acl, Identity } from '@antiphon/znode-tree'
import { CODES, refuse } from './codes.ts'

/** ZooKeeper's `digest` identity of `user:password`. */
export function digestIdentity(credential: string): Identity {
  const hash = createHash('sha1').update(credential, 'utf8').digest('base64')
  return { scheme: 'digest', id: `${credential.split(':')[0]}:${hash}` }
}

function address(text: string): number[] | null {
  const parts = text.split('.')
  if (parts.length !== 4 || parts.some((part) => !/^\d+$/.test(part) || Number(part) > 255)) return null
  return parts.map(Number)
}

function network(id: string): { bytes: number[]; bits: number } | null {
  const slash = id.indexOf('/')
  const bytes = address(slash < 0 ? id : id.slice(0, slash))
  const bits = slash < 0 ? '32' : id.slice(slash + 1)
  return bytes === null || !/^\d+$/.test(bits) || Number(bits) > 32 ? null : { bytes, bits: Number(bits) }
}

const binary = (bytes: readonly number[]): string => bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('')

function matches(scheme: string, identity: string, id: string): boolean {
  if (scheme === 'digest') return identity === id
  const net = network(id)
  const own = address(identity)
  return scheme === 'ip' && net !== null && own !== null && binary(net.bytes).slice(0, net.bits) === binary(own).slice(0, net.bits)
}

export function permits(acl: readonly Acl[], perms: number, identities: readonly Identity[]): boolean {
  return acl.some(
    (entry) =>
      (entry.perms & perms) !== 0 &&
      ((entry.scheme === 'world' && entry.id === 'anyone') || identities.some(({ scheme, id }) => scheme === entry.scheme && matches(scheme, id, entry.id))),
  )
}

export function need(acl: readonly Acl[], perms: number, identities: readonly Identity[]): void {
  if (!permits(acl, perms, identities)) refuse(CODES.NO_AUTH)
}

/** Java's `"a:".split(":")` leaves out what is empty at the end. */
function isValid(scheme: string, id: string): boolean {
  if (scheme === 'ip') return network(id) !== null
  return scheme === 'digest' && id.replace(/:+$/, '').split(':').length === 2
}

/** An ACL as it is kept: each entry once, `auth` replaced by all that the requester has shown to be, but for its address. */
export function fixedAcl(acl: readonly Acl[], identities: readonly Identity[]): Acl[] {
  const fixed: Acl[] = []
  const same = (a: Acl, b: Acl): boolean => a.perms === b.perms && a.scheme === b.scheme && a.id === b.id
  const entries = acl.filter((entry, at) => acl.findIndex((other) => same(entry, other)) === at)
  if (entries.length === 0) refuse(CODES.INVALID_ACL)
  for (const entry of entries) {
    if (entry.scheme === 'world' && entry.id === 'anyone') fixed.push(entry)
    else if (entry.scheme === 'auth') {
      const shown = identities.filter(({ scheme }) => scheme !== 'ip')
      if (shown.length === 0) refuse(CODES.INVALID_ACL)
      for (const { scheme, id } of shown) fixed.push({ perms: entry.perms, scheme, id })
    } else if (isValid(entry.scheme, entry.id)) fixed.push(entry)
    else refuse(CODES.INVALID_ACL)
  }
  return fixed
}
