import { invalidArgument, type ProposeOptions, type ReadLevel } from '@antiphon/ports'
import type { Replica } from '@antiphon/replica'
import type { ZnodeRequest, ZnodeResult, ZnodeTree } from '@antiphon/znode-tree'

/** A tree and the replica that runs it. */
export interface Host {
  readonly replica: Replica
  readonly tree: ZnodeTree
  propose(request: ZnodeRequest, options?: ProposeOptions): Promise<ZnodeResult>
  read(level: ReadLevel, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<void>
}

/** @throws AntiphonError INVALID_ARGUMENT: the replica has no tree, several and none was named, or none of this name */
export function hostOf(replica: Replica, name: string | undefined): Host {
  const trees = Object.entries(replica.machines).filter(([, machine]) => isTree(machine))
  const names = trees.map(([machine]) => machine)
  const found = name === undefined ? (trees.length === 1 ? trees[0] : undefined) : trees.find(([machine]) => machine === name)
  if (found === undefined) {
    if (trees.length === 0) throw invalidArgument('the replica has no znode tree', 'List one among its machines: { machines: { znodes: znodeTree() } }.')
    throw invalidArgument(
      name === undefined ? 'the replica has several znode trees' : `the replica has no znode tree \`${name}\``,
      `Name one as \`machine\`: ${names.join(', ')}.`,
    )
  }
  const [machine, tree] = found
  return {
    replica,
    tree: tree as unknown as ZnodeTree,
    propose: (request, options) => replica.propose(machine, request, options) as Promise<ZnodeResult>,
    read: (level, options) => replica.read(level, options),
  }
}

function isTree(machine: object): boolean {
  return 'reader' in machine && 'watches' in machine && 'hold' in machine
}
