import { AntiphonError, corrupt, EPOCH_MAX, epochOf, invalidArgument, type Millis, type Zxid, zxidOf } from '@antiphon/ports'
import type { NodeTree } from '../data-tree.ts'
import { NO_NODE } from '../data-tree-types.ts'
import { DEFAULT_NAME, VERSION } from '../options.ts'
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
  /** The newest epoch that the server knew of. */
  readonly epoch: number
  /** Where the history of an ensemble begins that goes on from it: no ZXID in the tree, and none that a client of the server can have seen, is above. Its epoch and counter are 1 or more. */
  readonly beginsAt: Zxid
  /** Unix time of the newest change that the tree shows. */
  readonly time: Millis
  /** Snapshots that were passed over, because they are not whole. */
  readonly broken: readonly string[]
  /**
   * The last log ends in the midst of an entry: nobody was told of it if the server died as it wrote it. Or an earlier one does, the next is of a later epoch, and no digest tells that nothing is missing
   * in between.
   */
  readonly torn: boolean
  /** The last digest that the server told is the tree's; null: it told none. */
  readonly digestAgrees: boolean | null
}

/** What of a machine's state an ensemble can be founded on. */
export interface TakenOverMachine {
  readonly name: string
  readonly version: number
  snapshot(): Iterable<Uint8Array>
}

interface Files {
  readonly snapshots: readonly NamedFile[]
  readonly logs: readonly NamedFile[]
}

interface NamedFile {
  readonly name: string
  readonly zxid: Zxid
}

/** Its epochs have 32 bits; ours fewer, for ZXIDs to be safe integers. The last one is left, for the ensemble that goes on has to have one behind it. */
const TAKEN_EPOCH_MAX: number = EPOCH_MAX - 1
const EPOCH_FILES = ['acceptedEpoch', 'currentEpoch']
const EPOCH_BYTES_MAX = 32

/**
 * The data of a ZooKeeper server that is stopped: its newest whole snapshot, and what its logs hold after that. Nothing that has a part of the history is passed over in silence.
 * @throws AntiphonError CORRUPT; INVALID_ARGUMENT where nothing is wrong with the files, but these can not be taken over: there are no snapshots, the newest are compressed, or epochs do not fit
 */
export async function takeOverZooKeeper(folder: ZooKeeperFolder): Promise<TakenOver> {
  const files = filesOf(folder.names)
  const broken: string[] = []
  for (const { name, zxid } of files.snapshots) {
    const snapshot = await readSnapshot(folder.read(name))
    if (snapshot === null) {
      broken.push(name)
      continue
    }
    const replay = new LogReplay(snapshot, zxid)
    const isGapless = await readLogs(replay, files.logs, folder)
    const { agrees } = replay
    const torn = replay.torn || !isGapless
    replay.endDeadSessions()
    const { tree } = snapshot
    const { newest, time } = newestOf(tree)
    if (newest > replay.zxid)
      throw corrupt('a snapshot of ZooKeeper has changes that no log has: some logs are missing', { snapshot: name, logged: replay.zxid, newest })
    const epoch = await epochIn(folder, replay.zxid)
    const beginsAt = Math.max(replay.zxid, zxidOf(Math.max(epoch, 1), 1)) as Zxid
    return { tree, sessions: snapshot.sessions, zxid: replay.zxid, epoch, beginsAt, time, broken, torn, digestAgrees: agrees }
  }
  throw corrupt('there is no whole snapshot of ZooKeeper', { broken })
}

/** What a machine (`znodeTree`) restores, to go on from what was taken over: the tree, and its sessions, held by nobody until they are attached. `taken` is not to be changed before the last chunk. */
export function takenOverChunks(taken: TakenOver): Iterable<Uint8Array> {
  const table = new SessionTable()
  for (const [id, timeoutMs] of taken.sessions) table.open(id, peerOf(id), timeoutMs, taken.zxid)
  return snapshotChunks(taken.tree.view(), table.encode())
}

/** The machine whose snapshot that is: `name` as in the options of the replicas' `znodeTree`. */
export function takenOverMachine(taken: TakenOver, { name = DEFAULT_NAME }: { readonly name?: string } = {}): TakenOverMachine {
  return { name, version: VERSION, snapshot: () => takenOverChunks(taken) }
}

/** Snapshots with the newest first, logs with the oldest. */
function filesOf(names: readonly string[]): Files {
  const snapshots = named(names, 'snapshot').reverse()
  const logs = named(names, 'log')
  if (snapshots.length === 0)
    throw invalidArgument('there is no snapshot of ZooKeeper', 'Name the files of the folder `version-2` in the `dataDir` of a ZooKeeper server.')
  const compressed = names.filter((name) => /^snapshot\.[\da-f]+\.\w+$/.test(name))
  const newer = compressed.find((name) => Number.parseInt(name.split('.')[1]!, 16) > snapshots[0]!.zxid)
  if (newer !== undefined)
    throw invalidArgument(
      `the newest snapshot, ${newer}, is compressed`,
      'Decompress it beside the others, under its name without the ending; or let the server write one without compression.',
    )
  return { snapshots, logs }
}

/** Null: it is not whole. */
async function readSnapshot(chunks: AsyncIterable<Uint8Array>): Promise<ZooKeeperSnapshot | null> {
  try {
    const decoder = new ZooKeeperSnapshotDecoder()
    for await (const chunk of chunks) decoder.push(chunk)
    return decoder.finish()
  } catch (error) {
    if (error instanceof AntiphonError && error.code === 'CORRUPT') return null
    throw error
  }
}

/** True: each goes on where the one before ends, or that one was whole, or a digest behind it is the tree's. */
async function readLogs(replay: LogReplay, logs: readonly NamedFile[], folder: ZooKeeperFolder): Promise<boolean> {
  const from = replay.zxid
  /** Digests that were compared before a hole that there may be. */
  let comparedBefore = -1
  // A log is named after its first change: the last one that is not above the snapshot may hold the next.
  const first = Math.max(
    0,
    logs.findLastIndex((log) => log.zxid <= from + 1),
  )
  for (const log of logs.slice(first)) {
    const isNext = log.zxid <= replay.zxid + 1 || epochOf(log.zxid) > epochOf(replay.zxid)
    if (!isNext) throw corrupt('changes are missing between the files of a ZooKeeper', { after: replay.zxid, before: log.name })
    if (replay.torn && log.zxid > replay.zxid + 1) comparedBefore = replay.compared
    await replay.readLog(folder.read(log.name))
  }
  return comparedBefore === -1 || (replay.compared > comparedBefore && replay.agrees === true)
}

/** Of all nodes. */
function newestOf(tree: NodeTree): { readonly newest: Zxid; readonly time: Millis } {
  const root = tree.find('/')
  let newest = 0
  let time = 0
  for (let node = root; node !== NO_NODE; node = tree.following(node, root)) {
    newest = Math.max(newest, tree.czxid(node), tree.mzxid(node), tree.pzxid(node))
    time = Math.max(time, tree.mtime(node))
  }
  return { newest: newest as Zxid, time }
}

/** A server may have followed, or led, epochs in which nothing was changed, and told its clients ZXIDs of them. */
async function epochIn({ names, read }: ZooKeeperFolder, zxid: Zxid): Promise<number> {
  let epoch = epochOf(zxid)
  for (const name of EPOCH_FILES.filter((file) => names.includes(file))) {
    let text = ''
    for await (const chunk of read(name)) if (text.length <= EPOCH_BYTES_MAX) text += String.fromCharCode(...chunk.subarray(0, EPOCH_BYTES_MAX))
    if (!/^\d{1,10}\s*$/.test(text)) throw corrupt(`${name} holds no epoch`)
    epoch = Math.max(epoch, Number.parseInt(text, 10))
  }
  if (epoch > TAKEN_EPOCH_MAX) throw beyond(epoch)
  return epoch
}

function beyond(epoch: number): AntiphonError {
  return invalidArgument(
    `the ZooKeeper is in epoch ${epoch}: ${TAKEN_EPOCH_MAX} is the last that can be taken over`,
    'Copy the tree with a client, node by node, into an ensemble that begins anew; Stats begin anew then as well.',
  )
}

function named(names: readonly string[], kind: 'log' | 'snapshot'): NamedFile[] {
  const found: NamedFile[] = []
  for (const name of names) {
    const match = /^(log|snapshot)\.([\da-f]{1,16})$/.exec(name)
    if (match?.[1] !== kind) continue
    const zxid = Number.parseInt(match[2]!, 16) as Zxid
    if (epochOf(zxid) > TAKEN_EPOCH_MAX) throw beyond(epochOf(zxid))
    found.push({ name, zxid })
  }
  return found.sort((a, b) => a.zxid - b.zxid)
}
