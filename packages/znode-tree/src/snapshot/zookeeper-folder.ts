import { AntiphonError, corrupt, epochOf, type Millis, type Zxid } from '@antiphon/ports'
import type { NodeTree } from '../data-tree.ts'
import { peerOf } from '../sessions/session-id.ts'
import { SessionTable } from '../sessions/session-table.ts'
import type { SessionId } from '../types.ts'
import { snapshotChunks } from './encoder.ts'
import { type ZooKeeperSnapshot, ZooKeeperSnapshotDecoder } from './zookeeper-import.ts'
import { LogReplay } from './zookeeper-log.ts'

export interface ZooKeeperFolder {
  /** Names of the files in ZooKeeper's `version-2`; of those in `dataLogDir` too, if there is one. */
  readonly names: readonly string[]
  read(name: string): AsyncIterable<Uint8Array>
}

export interface TakenOver {
  readonly tree: NodeTree
  readonly sessions: ReadonlyMap<SessionId, Millis>
  /** The last change that is in it. */
  readonly zxid: Zxid
  /** Snapshots that were passed over, because they are not whole. */
  readonly broken: readonly string[]
  /** The last log ends in the midst of an entry: nobody was told of it if the server died as it wrote it. */
  readonly torn: boolean
  /** The last digest that the server told is the tree's; null: it told none. */
  readonly digestAgrees: boolean | null
}

/** The data of a ZooKeeper server that is stopped: its newest whole snapshot, and what its logs hold after that. Compressed snapshots are not read. Errors: CORRUPT. */
export async function takeOverZooKeeper(folder: ZooKeeperFolder): Promise<TakenOver> {
  const logs = named(folder.names, 'log')
  const broken: string[] = []
  for (const { name, zxid } of named(folder.names, 'snapshot').reverse()) {
    let snapshot: ZooKeeperSnapshot
    try {
      const decoder = new ZooKeeperSnapshotDecoder()
      for await (const chunk of folder.read(name)) decoder.push(chunk)
      snapshot = decoder.finish()
    } catch (error) {
      if (!(error instanceof AntiphonError) || error.code !== 'CORRUPT') throw error
      broken.push(name)
      continue
    }
    const replay = new LogReplay(snapshot, zxid)
    // A log is named after its first change: the last one that is not above the snapshot may hold the next.
    const first = Math.max(
      0,
      logs.findLastIndex((log) => log.zxid <= zxid + 1),
    )
    for (const log of logs.slice(first)) {
      const isNext = log.zxid <= replay.zxid + 1 || epochOf(log.zxid) > epochOf(replay.zxid)
      if (!isNext) throw corrupt('changes are missing between the files of a ZooKeeper', { after: replay.zxid, before: log.name })
      await replay.readLog(folder.read(log.name))
    }
    const { agrees } = replay
    replay.endDeadSessions()
    return { tree: snapshot.tree, sessions: snapshot.sessions, zxid: replay.zxid, broken, torn: replay.torn, digestAgrees: agrees }
  }
  throw corrupt('there is no whole snapshot of ZooKeeper', { broken })
}

/** What a machine (`znodeTree`) restores, to go on from what was taken over: the tree, and its sessions, held by nobody until they are attached. `taken` is not to be changed before the last chunk. */
export function takenOverChunks(taken: TakenOver): Iterable<Uint8Array> {
  const table = new SessionTable()
  for (const [id, timeoutMs] of taken.sessions) table.open(id, peerOf(id), timeoutMs, taken.zxid)
  return snapshotChunks(taken.tree.view(), table.encode())
}

function named(names: readonly string[], kind: 'log' | 'snapshot'): { readonly name: string; readonly zxid: Zxid }[] {
  const found: { name: string; zxid: Zxid }[] = []
  for (const name of names) {
    const match = /^(log|snapshot)\.([\da-f]{1,14})$/.exec(name)
    const zxid = match?.[1] === kind ? Number.parseInt(match[2]!, 16) : Number.NaN
    if (Number.isSafeInteger(zxid)) found.push({ name, zxid: zxid as Zxid })
  }
  return found.sort((a, b) => a.zxid - b.zxid)
}
