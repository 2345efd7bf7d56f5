import type { Zxid } from '@antiphon/ports'
import type { PathHint } from './apply.ts'
import { type DataTree, EPHEMERAL, NO_NODE, TTL } from './data-tree-types.ts'
import { Fifo } from './fifo.ts'
import { PathRecord } from './path-record.ts'
import { PathTable } from './path-table.ts'
import type { SessionTable } from './sessions/session-table.ts'
import { crcOfText } from './store/path-crc.ts'
import type { SessionId } from './types.ts'

/** A session as of everything prepared. */
export interface SessionRecord {
  readonly id: SessionId
  exists: boolean
  peer: number
  attachment: Zxid
  /** Where changes that are not applied have made ephemeral nodes of it; some may be gone again. */
  made: string[]
  pending: number
}

export interface Charge {
  readonly quota: string
  readonly count: number
  readonly bytes: number
}

interface Prepared {
  readonly zxid: Zxid
  readonly paths: number
  readonly sessions: number
  readonly charges: readonly Charge[]
}

const NO_CHARGES: readonly Charge[] = []
const MADE_KEPT = 1024
const SAVED_KEPT = 4096
const SPARE_MAX = 1024

/**
 * The changes that are prepared and not applied yet, laid over what is applied: paths, sessions, use of quotas, ids given out. A change is begun, and committed or rolled back; the last one that
 * was committed can be taken back until the next is begun. They are forgotten in their order as they are applied.
 */
export class Overlay {
  readonly #tree: DataTree
  readonly #sessions: SessionTable
  readonly #paths = new PathTable()
  readonly #sessionRecords = new Map<SessionId, SessionRecord>()
  readonly #quotas = new Map<string, { count: number; bytes: number }>()
  /** By member, as of everything prepared in this reign; never below what is applied. */
  readonly #highest = new Map<number, SessionId>()

  readonly #prepared = new Fifo<Prepared>()
  readonly #touchedPaths = new Fifo<PathRecord>()
  readonly #touchedSessions = new Fifo<SessionRecord>()

  /** Of the change that was begun last: what was before each step. `#saved` is used again. */
  readonly #saved: PathRecord[] = []
  /** Records that nobody needs any more. */
  readonly #spare: PathRecord[] = []
  #steps = 0
  #sessionSteps = 0
  #sessionUndo: (() => void)[] = []
  #charges: Charge[] = []
  #canTakeBack = false

  constructor(tree: DataTree, sessions: SessionTable) {
    this.#tree = tree
    this.#sessions = sessions
  }

  /** Changes that are prepared and not applied. */
  get length(): number {
    return this.#prepared.length
  }

  /** What is at `path`. Nothing may be written to it before `touch`. */
  at(path: string): PathRecord {
    const crc = crcOfText(path, 0, 0, path.length)
    return this.#paths.get(path, crc) ?? this.#applied(path, crc)
  }

  /** The attachment of whoever holds a session; -1: there is no such session. */
  attachment(id: SessionId): number {
    const record = this.#sessionRecords.size === 0 ? undefined : this.#sessionRecords.get(id)
    if (record !== undefined) return record.exists ? record.attachment : -1
    return this.#sessions.get(id)?.attachment ?? -1
  }

  session(id: SessionId): SessionRecord | null {
    const record = this.#sessionRecords.get(id)
    if (record !== undefined) return record.exists ? record : null
    const session = this.#sessions.get(id)
    if (session === undefined) return null
    return { id, exists: true, peer: session.peer, attachment: session.attachment, made: [], pending: 0 }
  }

  highest(peer: number): SessionId | null {
    const [applied, proposed] = [this.#sessions.highest(peer), this.#highest.get(peer) ?? null]
    return applied === null || (proposed !== null && proposed > applied) ? proposed : applied
  }

  /** What is prepared besides what is applied, below `quota`. */
  used(quota: string): { readonly count: number; readonly bytes: number } {
    return this.#quotas.get(quota) ?? NOTHING_USED
  }

  begin(): void {
    this.#forgetUndo()
    this.#canTakeBack = false
  }

  /** The change that was begun writes to `record`, from here on. */
  touch(record: PathRecord): void {
    const step = this.#steps++
    const saved = (this.#saved[step] ??= new PathRecord())
    saved.assign(record)
    if (record.pending++ === 0) this.#paths.add(record)
    this.#touchedPaths.push(record)
  }

  touchSession(record: SessionRecord): void {
    const { exists, peer, attachment, made } = record
    const madeBefore = made.length
    if (record.pending++ === 0) this.#sessionRecords.set(record.id, record)
    this.#sessionSteps++
    this.#touchedSessions.push(record)
    this.#sessionUndo.push(() => {
      record.exists = exists
      record.peer = peer
      record.attachment = attachment
      // It may have been replaced since, by one that lacks what was gone as of then.
      record.made = made
      made.length = madeBefore
      this.#touchedSessions.pop()
      if (--record.pending === 0) this.#sessionRecords.delete(record.id)
    })
  }

  /** The change that was begun makes an ephemeral node of `session`, which is there, at `path`. */
  makeEphemeral(session: SessionId, path: string): void {
    const record = this.session(session)!
    if (record.made.length >= MADE_KEPT && record.made.length % MADE_KEPT === 0) this.#forgetMade(record)
    this.touchSession(record)
    record.made.push(path)
  }

  openSession(id: SessionId, peer: number, attachment: Zxid): void {
    const record = this.#sessionRecords.get(id) ?? { id, exists: false, peer, attachment, made: [], pending: 0 }
    this.touchSession(record)
    record.exists = true
    record.peer = peer
    record.attachment = attachment
  }

  raise(peer: number, id: SessionId): void {
    const before = this.#highest.get(peer)
    if (before !== undefined && before >= id) return
    this.#highest.set(peer, id)
    this.#sessionUndo.push(() => {
      if (before === undefined) this.#highest.delete(peer)
      else this.#highest.set(peer, before)
    })
  }

  charge(quota: string, count: number, bytes: number): void {
    const charge = { quota, count, bytes }
    this.#charges.push(charge)
    this.#add(charge, 1)
  }

  commit(zxid: Zxid): void {
    this.#canTakeBack = true
    const charges = this.#charges.length === 0 ? NO_CHARGES : this.#charges
    this.#prepared.push({ zxid, paths: this.#steps, sessions: this.#sessionSteps, charges })
  }

  /** Undoes what the change that was begun has done so far. It stays begun. */
  rollback(): void {
    for (let step = this.#steps - 1; step >= 0; step--) {
      const record = this.#touchedPaths.pop()!
      record.assign(this.#saved[step]!)
      if (--record.pending === 0) this.#paths.delete(record)
    }
    for (let undo = this.#sessionUndo.pop(); undo !== undefined; undo = this.#sessionUndo.pop()) undo()
    for (const charge of this.#charges) this.#add(charge, -1)
    this.#steps = 0
    this.#sessionSteps = 0
    this.#charges = []
  }

  /** Takes the last change back, if it was committed and none was begun since. */
  takeBack(): void {
    if (!this.#canTakeBack) return
    this.#canTakeBack = false
    this.#prepared.pop()
    this.rollback()
  }

  /** The change `zxid` is applied. One that was not prepared here makes everything that was void. */
  applied(zxid: Zxid): void {
    const prepared = this.#prepared.first()
    if (prepared === undefined) return
    if (prepared.zxid !== zxid) return this.reset()
    this.#prepared.shift()
    if (this.#prepared.length === 0) this.#canTakeBack = false
    for (let rest = prepared.paths; rest > 0; rest--) {
      const record = this.#touchedPaths.shift()!
      if (--record.pending > 0) continue
      this.#paths.delete(record)
      if (this.#spare.length < SPARE_MAX) this.#spare.push(record)
    }
    for (let rest = prepared.sessions; rest > 0; rest--) {
      const record = this.#touchedSessions.shift()!
      if (--record.pending === 0) this.#sessionRecords.delete(record.id)
    }
    for (const charge of prepared.charges) this.#add(charge, -1)
  }

  /** What the oldest change begins with, if there is one: so that its path need not be read and looked up again. */
  get next(): PathHint | null {
    return this.#touchedPaths.first() ?? null
  }

  /** Everything prepared is void. */
  reset(): void {
    this.#paths.clear()
    this.#sessionRecords.clear()
    this.#quotas.clear()
    this.#highest.clear()
    this.#prepared.clear()
    this.#touchedPaths.clear()
    this.#touchedSessions.clear()
    this.#canTakeBack = false
    this.#forgetUndo()
  }

  #applied(path: string, crc: number): PathRecord {
    const tree = this.#tree
    const record = this.#spare.pop() ?? new PathRecord()
    const node = tree.find(path, crc)
    record.path = path
    record.crc = crc
    record.node = node
    record.removals = tree.removals
    record.exists = node !== NO_NODE
    if (node === NO_NODE) return record
    const kind = tree.kind(node)
    record.kind = kind
    record.owner = kind === EPHEMERAL ? tree.owner(node) : 0n
    record.ttlMs = kind === TTL ? tree.ttlMs(node) : 0
    record.version = tree.version(node)
    record.aversion = tree.aversion(node)
    record.childrenCreated = tree.childrenCreated(node)
    record.childCount = tree.childCount(node)
    record.dataLength = tree.dataLength(node)
    record.mtime = tree.mtime(node)
    record.acl = tree.aclOf(tree.acl(node))
    return record
  }

  #add({ quota, count, bytes }: Charge, sign: 1 | -1): void {
    const used = this.#quotas.get(quota) ?? { count: 0, bytes: 0 }
    used.count += sign * count
    used.bytes += sign * bytes
    if (used.count === 0 && used.bytes === 0) this.#quotas.delete(quota)
    else this.#quotas.set(quota, used)
  }

  /** Leaves what is not applied yet. */
  #forgetMade(record: SessionRecord): void {
    record.made = record.made.filter((path) => {
      const made = this.#paths.get(path, crcOfText(path, 0, 0, path.length))
      return made !== undefined && made.exists && made.owner === record.id
    })
  }

  #forgetUndo(): void {
    if (this.#saved.length > SAVED_KEPT) this.#saved.length = SAVED_KEPT
    this.#steps = 0
    this.#sessionSteps = 0
    if (this.#sessionUndo.length > 0) this.#sessionUndo = []
    if (this.#charges.length > 0) this.#charges = []
  }
}

const NOTHING_USED = { count: 0, bytes: 0 }
