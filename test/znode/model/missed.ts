import type { Acl, WatchEventType } from '@antiphon/znode-tree'
import type { WATCH_LISTS } from '../program.ts'
import type { Node, Nodes } from './nodes.ts'
import { childrenOf, shown } from './tree.ts'

export interface Missed {
  readonly type: WatchEventType
  readonly path: string
  readonly zxid: number
  /** Null: everybody may hear of it. */
  readonly acl: readonly Acl[] | null
}

const at = (nodes: Nodes, path: string): Node | undefined => nodes.get(path === '/' ? '' : path)

/** What somebody with one watch has missed since `since`, as far as the nodes show it. `last`: what they are of. */
export function missedBy(
  nodes: Nodes,
  kind: (typeof WATCH_LISTS)[number],
  path: string,
  since: number,
  last: number,
  mayRead: (acl: readonly Acl[]) => boolean,
): Missed[] {
  const node = at(nodes, path)
  const gone: Missed = { type: 'deleted', path, zxid: last, acl: null }
  if (node === undefined) {
    if (kind === 'exists') return []
    return kind === 'data' || kind === 'children' || mayHaveGone(nodes, path, since, mayRead) ? [gone] : []
  }
  const { acl, czxid, mzxid, pzxid } = node
  switch (kind) {
    case 'data':
      return mzxid > since ? [{ type: 'dataChanged', path, zxid: mzxid, acl }] : []
    case 'exists':
      return [{ type: 'created', path, zxid: czxid, acl }]
    case 'children':
      return pzxid > since ? [{ type: 'childrenChanged', path, zxid: pzxid, acl }] : []
    case 'persistent':
      return happened(path, node, since)
    case 'recursive':
      return withAllBelow(nodes, path).flatMap((one) => happened(one, at(nodes, one)!, since))
  }
}

/** Of a node that is not there: only if children came or went above it, or if nothing may be known of what is above. */
function mayHaveGone(nodes: Nodes, path: string, since: number, mayRead: (acl: readonly Acl[]) => boolean): boolean {
  let above = path
  do above = shown(above.slice(0, above.lastIndexOf('/')))
  while (at(nodes, above) === undefined)
  const { acl, pzxid } = at(nodes, above)!
  return !mayRead(acl) || pzxid > since
}

function happened(path: string, { acl, czxid, mzxid, pzxid }: Node, since: number): Missed[] {
  const events: Missed[] = []
  if (czxid > since) events.push({ type: 'created', path, zxid: czxid, acl })
  if (mzxid > since && mzxid !== czxid) events.push({ type: 'dataChanged', path, zxid: mzxid, acl })
  if (pzxid > since && pzxid !== czxid) events.push({ type: 'childrenChanged', path, zxid: pzxid, acl })
  return events
}

function withAllBelow(nodes: Nodes, path: string): string[] {
  return [path, ...childrenOf(nodes, path).flatMap((name) => withAllBelow(nodes, path === '/' ? `/${name}` : `${path}/${name}`))]
}

const depthOf = (path: string): number => path.split('/').filter((name) => name !== '').length
const RANKS = { deleted: 0, created: 1, dataChanged: 1, childrenChanged: 2 }

/** Each once, in the order of the changes. Of one change: what is gone from below, else by path; then nodes from above; then lists of children from above. */
export function inOrder(missed: readonly Missed[]): Missed[] {
  return missed
    .filter(({ type, path }, index) => missed.findIndex((other) => other.type === type && other.path === path) === index)
    .sort((one, other) => {
      const order = one.zxid - other.zxid || RANKS[one.type] - RANKS[other.type]
      if (order !== 0) return order
      const [depth, otherDepth] = [depthOf(one.path), depthOf(other.path)]
      if (one.type !== 'deleted') return depth - otherDepth
      return depth === otherDepth ? (one.path < other.path ? -1 : 1) : otherDepth - depth
    })
}
