import type { CommittedBatch, PeerId, PrimaryContext, Zxid } from '@antiphon/ports'
import { type SessionId, type ZnodeRequest, type ZnodeResult, type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import { timeOf, zxidOf } from './model/model.ts'

interface Prepared {
  readonly request: Uint8Array
  change: Uint8Array
  readonly zxid: Zxid
  readonly time: number
  /** Called with the result, where it stands among the events. */
  readonly take: (result: ZnodeResult) => void
}

export function fail(message: string): never {
  throw new Error(message)
}

function same(left: Uint8Array, right: Uint8Array, what: string): void {
  if (!Buffer.from(left).equals(right)) fail(`${what} differ: ${Buffer.from(left).toString('hex')} and ${Buffer.from(right).toString('hex')}`)
}

const TICK_MS = 1000
/** Sessions expire in buckets of half the shortest timeout. */
const BUCKET_MS = 2000

/** Others than it was written in. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const third = Math.ceil(bytes.length / 3)
  for (let at = 0; at < bytes.length; at += third) yield bytes.subarray(at, at + third)
}

const newTree = (): ZnodeTree => znodeTree({ enforceQuota: true })
const snapshotOf = (tree: ZnodeTree): Buffer => Buffer.concat([...tree.snapshot()].map((slice) => Buffer.from(slice)))

/**
 * Two replicas of our machine without an ensemble: one of them prepares, both apply, the first is read. Their results, digests and snapshots are the same bytes, and what is prepared can be taken
 * back; else these methods throw.
 */
export class Replicas {
  readonly first: ZnodeTree = newTree()
  /** Who was told of the end of a session or of its move, and of the end of a batch, while the last batch was applied. */
  readonly told: string[] = []
  #second: ZnodeTree = newTree()
  #leader: ZnodeTree = this.first
  readonly #before: (zxid: Zxid) => void
  readonly #pending: Prepared[] = []
  #zxid = 0 as Zxid
  #step = 0
  /** Entries of this step that no client asked for. */
  #probes = 0
  #takesBack = false
  /** On the leader's own clock. */
  #passedMs = 0

  /** `before` the result of a change is taken it is called with its ZXID. */
  constructor(before: (zxid: Zxid) => void) {
    this.#before = before
    this.first.listen({
      closed: (session, reason, zxid) => void this.told.push(`closed ${session} ${reason} ${zxid}`),
      moved: (session, zxid) => void this.told.push(`moved ${session} ${zxid}`),
      restored: (zxid) => void this.told.push(`restored ${zxid}`),
      applied: (zxid) => void this.told.push(`applied ${zxid}`),
    })
    this.first.leading?.(this.#context())
  }

  begin(step: number): void {
    this.#step = step
    this.#probes = 0
  }

  /** What is proposed next in this step is no client's. */
  probe(): void {
    this.#probes++
  }

  propose(request: ZnodeRequest, take: (result: ZnodeResult) => void): void {
    const leader = this.#leader
    const bytes = leader.encodeRequest(request).slice()
    same(leader.encodeRequest(leader.decodeRequest(bytes)), bytes, 'a request and its copy')
    const context = this.#context()
    const { zxid, time } = context
    let change = leader.prepare!(bytes, context).slice()
    if (this.#takesBack) {
      this.#takesBack = false
      leader.unprepare!()
      const again = leader.prepare!(bytes, context).slice()
      same(change, again, 'a change and the same change, taken back before')
      change = again
    }
    this.#pending.push({ request: bytes, change, zxid, time, take })
  }

  /** Applies all that is prepared, and tells the results in their order. */
  flush(): void {
    const batch = this.#pending.splice(0)
    if (batch.length === 0) return
    const committed = batchOf(batch)
    this.told.length = 0
    const results = this.first.apply(committed)
    const others = this.#second.apply(committed)
    if (results.length !== batch.length || others.length !== batch.length) fail(`${batch.length} changes have ${results.length} and ${others.length} results`)
    for (const [index, { zxid, take }] of batch.entries()) {
      const encoded = this.first.encodeResult(results[index]!).slice()
      same(this.#second.encodeResult(others[index]!), encoded, 'results of two replicas')
      this.#zxid = zxid
      this.#before(zxid)
      take(this.first.decodeResult(encoded))
    }
    if (this.told.at(-1) !== `applied ${this.#zxid}`) fail(`the end of the batch at ${this.#zxid} is told last, not ${this.told.at(-1)}`)
    if (this.first.digest() !== this.#second.digest()) fail('digests of two replicas differ')
  }

  /** All that is prepared is given up, and prepared once more. */
  abandon(): void {
    this.#leader.abandon?.()
    this.#leader.leading?.(this.#context())
    for (const prepared of this.#pending) {
      const { request, zxid, time } = prepared
      prepared.change = this.#leader.prepare!(request, { ...this.#context(), zxid, time }).slice()
    }
  }

  /** The next change is prepared, taken back, and prepared once more. */
  takeBackNext(): void {
    this.#takesBack = true
  }

  lead(): void {
    this.flush()
    this.#leader.abandon?.()
    this.#leader = this.#leader === this.first ? this.#second : this.first
    this.#leader.leading?.(this.#context())
  }

  /** Time passes in which something is heard of `others` alone. What the leader asks for then: not before the session's time is up, nor more than a bucket and a tick later. */
  silence(session: SessionId, others: readonly SessionId[], timeoutMs: number): readonly ZnodeRequest[] {
    this.#hear([session, ...others])
    for (let ms = TICK_MS; ms <= timeoutMs + BUCKET_MS + TICK_MS; ms += TICK_MS) {
      this.#passedMs += TICK_MS
      // That a container may go is asked too, and is not done here.
      const requests = this.#leader.tick!(this.#context()).filter(({ kind }) => kind !== 'reap')
      if (requests.length > 0 && ms < timeoutMs) fail(`something is to expire after ${ms} of ${timeoutMs} ms`)
      if (requests.length > 0) return requests
      this.#hear(others)
    }
    return []
  }

  #hear(sessions: readonly SessionId[]): void {
    for (const session of sessions) this.first.touch(session)
    const note = this.first.note!()
    if (note !== null) this.#leader.heard!(1 as PeerId, note, this.#context().monotonic)
  }

  compare(): Uint8Array {
    const bytes = snapshotOf(this.first)
    same(snapshotOf(this.#second), bytes, 'snapshots of two replicas')
    return bytes
  }

  /** The requests are prepared and applied on the second one, to which the first comes by a snapshot. A leader does not. */
  async jump(requests: readonly ZnodeRequest[]): Promise<void> {
    this.flush()
    if (this.#leader === this.first) this.lead()
    for (const [index, request] of requests.entries()) {
      if (index > 0) this.probe()
      this.propose(request, () => undefined)
    }
    const batch = this.#pending.splice(0)
    if (batch.length === 0) return
    this.#second.apply(batchOf(batch))
    this.#zxid = batch.at(-1)!.zxid
    this.told.length = 0
    await this.first.restore(this.#zxid, inPieces(snapshotOf(this.#second)))
    if (this.told.join() !== `restored ${this.#zxid}`) fail(`who came to ${this.#zxid} by a snapshot is told ${this.told}`)
    if (this.first.reader.zxid !== this.#zxid) fail(`who came to ${this.#zxid} is at ${this.first.reader.zxid}`)
    if (this.first.digest() !== this.#second.digest()) fail('the digest of who came by a snapshot differs')
    this.compare()
  }

  /** The second one is made anew, out of a snapshot of the first. */
  async restore(): Promise<void> {
    this.flush()
    const bytes = this.compare()
    const fresh = newTree()
    await fresh.restore(this.#zxid, inPieces(bytes))
    same(snapshotOf(fresh), bytes, 'a snapshot and that of who was restored from it')
    if (fresh.digest() !== this.first.digest()) fail('the digest of who was restored differs')
    if (this.#leader === this.#second) {
      this.#leader = fresh
      fresh.leading?.(this.#context())
    }
    this.#second = fresh
  }

  /** As of this step. */
  #context(): PrimaryContext {
    const zxid = (zxidOf(this.#step) + this.#probes) as Zxid
    const time = timeOf(this.#step)
    return { epoch: 1, zxid, time, monotonic: time + this.#passedMs, tickMs: TICK_MS, changeBytesMax: 1 << 26, random: () => 0 }
  }
}

function batchOf(prepared: readonly Prepared[]): CommittedBatch {
  const bytes = Buffer.concat(prepared.map(({ change }) => change))
  const ends: number[] = []
  for (const { change } of prepared) ends.push((ends.at(-1) ?? 0) + change.length)
  const start = (index: number): number => (index === 0 ? 0 : ends[index - 1]!)
  return {
    length: prepared.length,
    bytes,
    start,
    end: (index) => ends[index]!,
    change: (index) => bytes.subarray(start(index), ends[index]!),
    zxid: (index) => prepared[index]!.zxid,
    time: (index) => prepared[index]!.time,
    needsResult: () => true,
  }
}
