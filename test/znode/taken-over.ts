import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Zxid } from '@antiphon/ports'
import type { Acl } from '@antiphon/znode-tree'
import { adler32 } from '../../packages/znode-tree/src/snapshot/adler32.ts'

/** What Debian's zookeeper 3.8.0 left when it was killed: see the README there. */
export const FOLDER: string = fileURLToPath(new URL('takeover/', import.meta.url))

/** What its server answered. */
interface Recorded {
  readonly path: string
  readonly data: string | null
  readonly stat: readonly string[]
  readonly children: readonly string[]
  readonly acl: string
}

export const recorded: { readonly sessions: readonly string[]; readonly nodes: readonly Recorded[] } = JSON.parse(readFileSync(`${FOLDER}tree.json`, 'utf8'))

export function zxidIn(name: string): Zxid {
  return Number.parseInt(name.split('.')[1]!, 16) as Zxid
}

/** As the wire has it, in hexadecimal. */
export function juteOf(acl: readonly Acl[]): string {
  const integer = (value: number): string => value.toString(16).padStart(8, '0')
  const text = (value: string): string => integer(value.length) + Buffer.from(value).toString('hex')
  return integer(acl.length) + acl.map(({ perms, scheme, id }) => integer(perms) + text(scheme) + text(id)).join('')
}

/** A log of one transaction; its digest, if it is to have one, at the end of `record`. */
export function logOf(session: bigint, zxid: Zxid, type: number, record: Uint8Array = new Uint8Array(0)): Uint8Array {
  const entry = Buffer.alloc(32 + record.length)
  entry.writeBigUInt64BE(session, 0)
  entry.writeBigInt64BE(BigInt(zxid), 12)
  entry.writeInt32BE(type, 28)
  entry.set(record, 32)
  const head = Buffer.from('5a4b4c47000000020000000000000000', 'hex')
  const frame = Buffer.alloc(12)
  frame.writeBigInt64BE(BigInt(adler32(entry, 1, 0, entry.length)), 0)
  frame.writeInt32BE(entry.length, 8)
  return Buffer.concat([head, frame, entry, Buffer.from('B')])
}
