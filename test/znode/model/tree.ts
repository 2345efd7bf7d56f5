import type { Acl, Identity } from '@antiphon/znode-tree'
import type { CreatePart, Data, Part, Write } from '../program.ts'
import type { PartReply, SeenStat } from '../transcript.ts'
import { fixedAcl, need } from './access.ts'
import { CODES, Refused, refuse } from './codes.ts'
import type { Node, Nodes } from './nodes.ts'
import { Accepted, checkQuota, QUOTA, quotaOf, recounted, STATS, usageOf } from './quota.ts'

export interface Change {
  readonly type: 'created' | 'deleted' | 'dataChanged'
  readonly path: string
  /** Who may hear of it: the node's, as it was or is; the parent's. */
  readonly acl: readonly Acl[]
  readonly parentAcl: readonly Acl[]
}

export interface Requester {
  readonly session: bigint
  readonly identities: readonly Identity[]
}

const OPEN: readonly Acl[] = [{ perms: 31, scheme: 'world', id: 'anyone' }]
const SPECIAL = ['/', '/zookeeper', '/zookeeper/quota', '/zookeeper/config']
const FIRST: Node = { data: '', acl: OPEN, czxid: 0, mzxid: 0, pzxid: 0, ctime: 0, mtime: 0, version: 0, aversion: 0, created: 0, owner: 0n, marked: 0n }

export const EMPTY: Nodes = new Map<string, Node>([
  ['', FIRST],
  ['/zookeeper', FIRST],
  ['/zookeeper/quota', FIRST],
  ['/zookeeper/config', { ...FIRST, acl: [{ perms: 1, scheme: 'world', id: 'anyone' }], aversion: -1 }],
])

export const found = (nodes: Nodes, path: string): Node => nodes.get(path === '/' ? '' : path) ?? refuse(CODES.NO_NODE)
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))
export const shown = (path: string): string => (path === '' ? '/' : path)

export function childrenOf(nodes: Nodes, path: string): string[] {
  const prefix = path === '/' ? '/' : `${path}/`
  return [...nodes.keys()].filter((other) => other.startsWith(prefix) && !other.slice(prefix.length).includes('/')).map((other) => other.slice(prefix.length))
}

export function statOf(nodes: Nodes, path: string): SeenStat {
  const node = found(nodes, path)
  const numChildren = childrenOf(nodes, path).length
  const { czxid, mzxid, pzxid, ctime, mtime, version, aversion } = node
  const cversion = (2 * node.created - numChildren) | 0
  return { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner: node.owner, dataLength: node.data?.length ?? 0, numChildren }
}

export function isValidPath(path: string): boolean {
  if (path === '/') return true
  const segments = path.split('/')
  if (segments.length < 2 || segments[0] !== '') return false
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not stand in a path
  if (/[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/.test(path)) return false
  return segments.slice(1).every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

const bad = (path: string): boolean => !path.includes('/') || path.includes('\0')

function nextVersion(current: number, expected: number): number {
  if (expected !== -1 && expected !== current) refuse(CODES.BAD_VERSION)
  return current + 1
}

function markOf(mode: string, ttlMs: number): bigint {
  if (mode === 'container') return 0x8000_0000_0000_0000n
  return mode.endsWith('with-ttl') ? 0xff00_0000_0000_0000n | BigInt(ttlMs) : 0n
}

/** The tree while one request is looked at: a copy, thrown away when it fails. */
export class Draft {
  readonly nodes: Map<string, Node>
  readonly changes: Change[] = []
  readonly accepted: Accepted
  readonly #applied: Nodes
  readonly #zxid: number
  readonly #time: number

  /** `applied`: what quotas are checked against, together with what was accepted since; null: not with that (ZooKeeper). */
  constructor(nodes: Nodes, applied: Nodes, accepted: Accepted | null, zxid: number, time: number) {
    this.nodes = new Map(nodes)
    this.accepted = new Accepted(accepted === null ? EMPTY : applied, accepted ?? undefined)
    this.#applied = applied
    this.#zxid = zxid
    this.#time = time
  }

  write(write: Exclude<Write, { op: 'multi' }> | Part, who: Requester): PartReply {
    switch (write.op) {
      case 'create':
        return this.#create(write, who)
      case 'delete': {
        if (bad(write.path) || SPECIAL.includes(write.path)) refuse(CODES.BAD_ARGUMENTS)
        need(found(this.nodes, parentOf(write.path)).acl, 8, who.identities)
        nextVersion(found(this.nodes, write.path).version, write.version)
        if (childrenOf(this.nodes, write.path).length > 0) refuse(CODES.NOT_EMPTY)
        this.remove(write.path)
        return { code: 0 }
      }
      case 'setData': {
        if (!isValidPath(write.path)) refuse(CODES.BAD_ARGUMENTS)
        const node = found(this.nodes, write.path)
        need(node.acl, 2, who.identities)
        const before = node.data?.length ?? 0
        const after = write.data?.length ?? 0
        checkQuota(this.#applied, this.accepted, write.path, after - before, 0)
        const version = nextVersion(node.version, write.version)
        this.accepted.charge(write.path, after - before, 0)
        this.#put(write.path, { ...node, data: write.data, version, mzxid: this.#zxid, mtime: this.#time })
        const stat = statOf(this.nodes, write.path)
        this.#charge(write.path, after - before, 0)
        this.changes.push({ type: 'dataChanged', path: write.path, acl: node.acl, parentAcl: [] })
        return { code: 0, stat }
      }
      case 'setAcl': {
        if (!isValidPath(write.path)) refuse(CODES.BAD_ARGUMENTS)
        const acl = fixedAcl(write.acl, who.identities)
        const node = found(this.nodes, write.path)
        need(node.acl, 16, who.identities)
        this.#put(write.path, { ...node, acl, aversion: nextVersion(node.aversion, write.version) })
        return { code: 0, stat: statOf(this.nodes, write.path) }
      }
      case 'check': {
        if (!isValidPath(write.path)) refuse(CODES.BAD_ARGUMENTS)
        const node = found(this.nodes, write.path)
        need(node.acl, 1, who.identities)
        nextVersion(node.version, write.version)
        return { code: 0 }
      }
    }
  }

  #create({ path: asked, data, acl, mode, ttlMs, stat }: CreatePart, { session, identities }: Requester): PartReply {
    if (mode.endsWith('with-ttl') && (ttlMs < 1 || ttlMs > 0xff_ffff_ffff)) refuse(CODES.BAD_ARGUMENTS)
    if (bad(asked)) refuse(CODES.BAD_ARGUMENTS)
    const fixed = fixedAcl(acl, identities)
    const parentPath = parentOf(asked)
    const parent = found(this.nodes, parentPath)
    need(parent.acl, 4, identities)
    const path = mode.includes('sequential') ? asked + String(parent.created).padStart(10, '0') : asked
    if (!isValidPath(path)) refuse(CODES.BAD_ARGUMENTS)
    if (path === '/' || this.nodes.has(path)) refuse(CODES.NODE_EXISTS)
    if (parent.owner !== 0n) refuse(CODES.NO_CHILDREN_FOR_EPHEMERALS)
    checkQuota(this.#applied, this.accepted, path, data?.length ?? 0, 1)
    this.accepted.charge(path, data?.length ?? 0, 1)
    const [zxid, time] = [this.#zxid, this.#time]
    this.#put(parentPath, { ...parent, created: (parent.created + 1) | 0, pzxid: zxid })
    const owner = mode.startsWith('ephemeral') ? session : 0n
    this.#put(path, { ...FIRST, data, acl: fixed, czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time, mtime: time, owner, marked: markOf(mode, ttlMs) })
    const made = statOf(this.nodes, path)
    if (parentPath.startsWith(QUOTA) && path.endsWith(`/${STATS}`)) this.#setQuietly(path, recounted(this.nodes, parentPath.slice(QUOTA.length)))
    this.#charge(path, data?.length ?? 0, 1)
    this.changes.push({ type: 'created', path, acl: fixed, parentAcl: parent.acl })
    return stat ? { code: 0, path, stat: made } : { code: 0, path }
  }

  remove(path: string): void {
    const node = found(this.nodes, path)
    const parentPath = parentOf(path)
    const parent = found(this.nodes, parentPath)
    this.accepted.charge(path, -(node.data?.length ?? 0), -1)
    this.#put(parentPath, { ...parent, pzxid: this.#zxid })
    this.nodes.delete(path)
    this.#charge(path, -(node.data?.length ?? 0), -1)
    this.changes.push({ type: 'deleted', path, acl: node.acl, parentAcl: parent.acl })
  }

  #put(path: string, node: Node): void {
    this.nodes.set(path === '/' ? '' : path, node)
  }

  #charge(path: string, bytes: number, count: number): void {
    const quota = quotaOf(this.nodes, path)
    const stats = `${QUOTA}${quota}/${STATS}`
    if (quota === null || !this.nodes.has(stats)) return
    this.#setQuietly(stats, usageOf(this.nodes.get(stats)!.data, bytes, count))
  }

  /** Nobody's version, and no event. */
  #setQuietly(path: string, data: Data): void {
    this.nodes.set(path, { ...this.nodes.get(path)!, data })
  }
}

/** All of it or nothing. */
export function multi(draft: Draft, parts: readonly Part[], who: Requester): { readonly parts: readonly PartReply[]; readonly done: boolean } {
  const replies: PartReply[] = []
  for (const part of parts)
    try {
      replies.push(draft.write(part, who))
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const { code } = error
      const at = replies.length
      return { done: false, parts: parts.map((_, i) => ({ code: i < at ? 0 : i === at ? code : CODES.RUNTIME_INCONSISTENCY })) }
    }
  return { done: true, parts: replies }
}
