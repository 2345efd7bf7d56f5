import { ZERO } from '@antiphon/ports'
import type { ZnodeTree, ZnodeTreeOptions } from '@antiphon/znode-tree'
import type * as Types from '../../../packages/znode-tree/src/data-tree-types.ts'
import type * as Machine from '../../../packages/znode-tree/src/machine.ts'
import type * as Loader from '../../../packages/znode-tree/src/snapshot/loader.ts'
import type * as State from '../../../packages/znode-tree/src/store/tree-state.ts'

/** What has no door of its own: of the sources, or of the copy in which a bug is put back. */
function inner(file: string): Promise<unknown> {
  return import(import.meta.resolve('@antiphon/znode-tree').replace(/index(\.[jt]s)$/, `${file}$1`))
}

const { NO_NODE } = (await inner('data-tree-types')) as typeof Types
const { znodeTreeOn } = (await inner('machine')) as typeof Machine
const { TreeLoader } = (await inner('snapshot/loader')) as typeof Loader
const { PLAIN } = (await inner('store/tree-state')) as typeof State

/** A parent that is always there, and whose children are sequential. */
export const QUEUE = '/q'
/** Children ever made, before the first change: a run makes more than are left before the count wraps. */
export const CREATED_AT_FIRST: Readonly<Record<string, number>> = { '/': 2 ** 31 - 6, [QUEUE]: 2 ** 31 - 4 }
/** Those of the queue's children that are left. */
export const LEFT_IN_QUEUE: readonly string[] = ['n0000000000', 'n0000000001', 'n2147483641']

/** A machine that begins with parents that have been busy: two thousand million creates are more than a simulation has. */
export function busyTree(options: ZnodeTreeOptions): ZnodeTree {
  const loader = new TreeLoader()
  const stat = { czxid: ZERO, mzxid: ZERO, pzxid: ZERO, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 }
  const root = loader.add(NO_NODE, '', PLAIN, { ...stat, created: CREATED_AT_FIRST['/']! })
  const system = loader.add(root, 'zookeeper', PLAIN, stat)
  for (const name of ['quota', 'config']) loader.add(system, name, PLAIN, stat)
  const queue = loader.add(root, QUEUE.slice(1), PLAIN, { ...stat, created: CREATED_AT_FIRST[QUEUE]! })
  for (const name of LEFT_IN_QUEUE) loader.add(queue, name, PLAIN, stat)
  return znodeTreeOn(loader.finish(), options)
}

/** How ZooKeeper writes the number of a sequential node: `%010d` of 32 bits, signed. `count`: of the children made before it. */
export function numbered(count: number): string {
  const number = count >= 2 ** 31 ? count - 2 ** 32 : count
  return number < 0 ? `-${`${-number}`.padStart(9, '0')}` : `${number}`.padStart(10, '0')
}
