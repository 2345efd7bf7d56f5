import type { Zxid } from '@antiphon/ports'
import fc from 'fast-check'
import { NodeTree } from './data-tree.ts'
import { CONTAINER, EPHEMERAL, NO_NODE, type NodeIndex, type NodeKind, TTL } from './data-tree-types.ts'
import { type Acl, ALL, OPEN_ACL, READ, type Stat } from './types.ts'

/** A change in words: what random programs are made of. `pick` chooses among what there is. */
export type Step =
  | {
      readonly type: 'create'
      readonly pick: number
      readonly name: string
      readonly kind: NodeKind
      readonly data: Uint8Array | null
      readonly acl: number
      readonly session: number
    }
  | { readonly type: 'delete'; readonly pick: number }
  | { readonly type: 'setData'; readonly pick: number; readonly data: Uint8Array | null }
  | { readonly type: 'setAcl'; readonly pick: number; readonly acl: number }

export const ACLS: readonly (readonly Acl[])[] = [
  OPEN_ACL,
  [{ perms: READ, scheme: 'world', id: 'anyone' }],
  [
    { perms: ALL, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' },
    { perms: READ, scheme: 'ip', id: '10.0.0.0/8' },
  ],
]
export const SESSIONS: readonly bigint[] = [0x0100_0006_bcd8_0000n, 0x0100_0006_bcd8_0001n, 0xfe00_0000_8000_0000n]
const TTL_MS = 0xff_ffff_ffff
const DELETED_NEVER = new Set(['/', '/zookeeper', '/zookeeper/config', '/zookeeper/quota'])

const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e') }, fc.constantFrom('é', 'ÿ', 'Ω', '木', 'n'.repeat(300)))
/** Null, empty, of several size classes, and larger than the largest of them. */
const bytes = fc.oneof(
  fc.constant(null),
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  fc.constantFrom(0, 119, 200, 8300).map((length) => new Uint8Array(length).fill(length)),
)
export const programs: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('create' as const),
        pick: fc.nat(1000),
        name,
        kind: fc.constantFrom<NodeKind[]>(0, 0, 0, 1, 2, 3),
        data: bytes,
        acl: fc.nat(2),
        session: fc.nat(2),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), pick: fc.nat(1000) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('setData' as const), pick: fc.nat(1000), data: bytes }) },
    fc.record({ type: fc.constant('setAcl' as const), pick: fc.nat(1000), acl: fc.nat(2) }),
  ),
  { maxLength: 150, size: 'max' },
)

interface NaiveNode {
  readonly path: string
  readonly kind: NodeKind
  readonly session: bigint
  data: Uint8Array | null
  acl: readonly Acl[]
  stat: { czxid: number; mzxid: number; pzxid: number; ctime: number; mtime: number; version: number; created: number; aversion: number }
  children: string[]
}

/** The obviously right tree: a Map of objects. */
export class NaiveTree {
  readonly nodes = new Map<string, NaiveNode>()

  constructor() {
    for (const path of ['/', '/zookeeper', '/zookeeper/quota', '/zookeeper/config']) {
      this.nodes.set(path, { path, kind: 0, session: 0n, data: new Uint8Array(0), acl: OPEN_ACL, stat: zeroStat(), children: [] })
    }
    this.nodes.get('/')!.children.push('zookeeper')
    this.nodes.get('/zookeeper')!.children.push('quota', 'config')
    const config = this.nodes.get('/zookeeper/config')!
    config.acl = ACLS[1]!
    config.stat.aversion = -1
  }

  statOf(node: NaiveNode): Stat {
    const { czxid, mzxid, pzxid, ctime, mtime, version, created, aversion } = node.stat
    const [dataLength, numChildren] = [node.data?.length ?? 0, node.children.length]
    return {
      czxid: czxid as Zxid,
      mzxid: mzxid as Zxid,
      pzxid: pzxid as Zxid,
      ctime,
      mtime,
      version,
      cversion: 2 * created - numChildren,
      aversion,
      ephemeralOwner: node.session,
      dataLength,
      numChildren,
    }
  }

  /** ZooKeeper's tree digest, version 2, from scratch (peer-wire.md section 4). */
  digest(): bigint {
    let sum = 0n
    for (const node of this.nodes.values()) {
      if (node.path.startsWith('/zookeeper/')) continue
      const { czxid, mzxid, pzxid, ctime, mtime, version, created, aversion } = node.stat
      const stat = new DataView(new ArrayBuffer(60))
      for (const [index, value] of [czxid, mzxid, pzxid, ctime, mtime].entries()) stat.setBigInt64(8 * index, BigInt(value))
      for (const [index, value] of [version, created, aversion].entries()) stat.setInt32(40 + 4 * index, value)
      const owner = [0n, node.session, 0x8000_0000_0000_0000n, 0xff00_0000_0000_0000n | BigInt(TTL_MS)][node.kind]!
      stat.setBigUint64(52, owner)
      const path = new TextEncoder().encode(node.path === '/' ? '' : node.path)
      sum += BigInt(slowCrc([path, node.data ?? new Uint8Array(0), new Uint8Array(stat.buffer)]))
    }
    return BigInt.asUintN(64, sum)
  }

  parentOf(path: string): NaiveNode {
    return this.nodes.get(path.slice(0, Math.max(1, path.lastIndexOf('/'))))!
  }
}

function zeroStat(): NaiveNode['stat'] {
  return { czxid: 0, mzxid: 0, pzxid: 0, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 }
}

function slowCrc(parts: readonly Uint8Array[]): number {
  let crc = 0xffffffff
  for (const part of parts) {
    for (const byte of part) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1
    }
  }
  return ~crc >>> 0
}

/** Both trees, kept alike; a step that ZooKeeper would refuse is passed over. */
export class Pair {
  readonly tree: NodeTree
  readonly naive = new NaiveTree()
  #counter = 0

  constructor(tree: NodeTree = new NodeTree()) {
    this.tree = tree
  }

  /** `tree`, which is like this one's, with maps of its own. */
  twin(tree: NodeTree): Pair {
    const twin = new Pair(tree)
    twin.#counter = this.#counter
    for (const [path, node] of this.naive.nodes) twin.naive.nodes.set(path, { ...node, stat: { ...node.stat }, children: [...node.children] })
    return twin
  }

  step(step: Step): void {
    const { tree, naive } = this
    const zxid = (2 ** 32 * 3 + ++this.#counter) as Zxid
    const time = 1_700_000_000_000 + this.#counter
    const nodes = [...naive.nodes.values()]
    const chosen = nodes[step.pick % nodes.length]!
    const index = tree.find(chosen.path)
    const data = step.type === 'create' || step.type === 'setData' ? step.data : null
    // The data lies somewhere in a larger piece of memory, which is overwritten afterwards.
    const bytes = Uint8Array.from([1, 2, 3, ...(data ?? []), 4])
    const [start, end] = data === null ? [-1, -1] : [3, 3 + data.length]
    if (step.type === 'create') {
      const path = `${chosen.path === '/' ? '' : chosen.path}/${step.name}`
      if (chosen.kind === EPHEMERAL || naive.nodes.has(path)) return
      const acl = ACLS[step.acl]!
      const session = step.kind === EPHEMERAL ? SESSIONS[step.session]! : 0n
      tree.create({ path, kind: step.kind, owner: session, ttlMs: step.kind === TTL ? TTL_MS : 0, acl: tree.intern(acl), bytes, start, end }, zxid, time)
      const stat = { ...zeroStat(), czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time, mtime: time }
      naive.nodes.set(path, { path, kind: step.kind, session, data, acl, stat, children: [] })
      chosen.children.push(step.name)
      chosen.stat.created++
      chosen.stat.pzxid = zxid
    } else if (step.type === 'delete') {
      if (chosen.children.length > 0 || DELETED_NEVER.has(chosen.path)) return
      tree.delete(index, zxid)
      naive.nodes.delete(chosen.path)
      const parent = naive.parentOf(chosen.path)
      parent.children.splice(parent.children.indexOf(chosen.path.slice(chosen.path.lastIndexOf('/') + 1)), 1)
      parent.stat.pzxid = zxid
    } else if (step.type === 'setData') {
      tree.setData(index, bytes, start, end, ++chosen.stat.version, zxid, time)
      chosen.data = data
      chosen.stat.mzxid = zxid
      chosen.stat.mtime = time
    } else {
      tree.setAcl(index, tree.intern(ACLS[step.acl]!), ++chosen.stat.aversion)
      chosen.acl = ACLS[step.acl]!
    }
    bytes.fill(0xee)
  }
}

/** Everything that can be seen of a tree. */
export function seen(tree: NodeTree): unknown {
  const all: unknown[] = []
  for (let node: NodeIndex = tree.find('/'); node !== NO_NODE; node = tree.following(node, tree.find('/'))) {
    const path = tree.path(node)
    const { czxid, mzxid, pzxid } = { czxid: tree.czxid(node), mzxid: tree.mzxid(node), pzxid: tree.pzxid(node) }
    all.push([
      path,
      tree.find(path) === node,
      tree.kind(node),
      tree.owner(node),
      tree.ttlMs(node),
      copied(tree.data(node)),
      tree.aclOf(tree.acl(node)),
      tree.stat(node),
      childrenOf(tree, node),
      czxid,
      mzxid,
      pzxid,
    ])
  }
  return {
    size: tree.size,
    all,
    ephemerals: SESSIONS.map((session) => tree.ephemerals(session)),
    owners: [...tree.owners()].sort(),
    ephemeralCount: tree.ephemeralCount,
    reapable: reapableOf(tree).sort(),
    digest: tree.digest(),
  }
}

export function seenOf(naive: NaiveTree): unknown {
  const all: unknown[] = []
  const walk = (path: string): void => {
    const node = naive.nodes.get(path)!
    const { czxid, mzxid, pzxid } = node.stat
    all.push([
      path,
      true,
      node.kind,
      node.session,
      node.kind === TTL ? TTL_MS : 0,
      copied(node.data),
      node.acl,
      naive.statOf(node),
      node.children,
      czxid,
      mzxid,
      pzxid,
    ])
    for (const child of node.children) walk(`${path === '/' ? '' : path}/${child}`)
  }
  walk('/')
  const nodes = [...naive.nodes.values()]
  const owned = (session: bigint): string[] =>
    nodes
      .filter((node) => node.kind === EPHEMERAL && node.session === session)
      .map((node) => node.path)
      .sort()
  return {
    size: nodes.length,
    all,
    ephemerals: SESSIONS.map(owned),
    owners: SESSIONS.filter((session) => owned(session).length > 0).sort(),
    ephemeralCount: nodes.filter((node) => node.kind === EPHEMERAL).length,
    reapable: nodes
      .filter((node) => node.kind === TTL || node.kind === CONTAINER)
      .map((node) => node.path)
      .sort(),
    digest: naive.digest(),
  }
}

function copied(data: Uint8Array | null): string | null {
  return data === null ? null : new TextDecoder('latin1').decode(data)
}

function childrenOf(tree: NodeTree, node: NodeIndex): string[] {
  const names: string[] = []
  for (let child = tree.firstChild(node); child !== NO_NODE; child = tree.nextSibling(child)) names.push(tree.name(child))
  return names
}

function reapableOf(tree: NodeTree): string[] {
  const paths: string[] = []
  tree.rewindReapable()
  for (let node = tree.nextReapable(); node !== NO_NODE; node = tree.nextReapable()) paths.push(tree.path(node))
  return paths
}
