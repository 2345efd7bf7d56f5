import { endPointsOf, isQuorum } from '@antiphon/consensus-core'
import {
  type Configuration,
  counterOf,
  type EpochEnd,
  type Epochs,
  epochOf,
  formatZxid,
  type PeerId,
  type Run,
  type SnapshotMeta,
  type StoredState,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { Violation } from './violation.ts'

/** What one store must hold behind one write: enough to tell what a crash may leave. */
interface StoreImage {
  readonly last: Zxid
  readonly checksum: number
  readonly ends: readonly EpochEnd[]
  readonly epochs: Epochs
  readonly founded: boolean
}

const EMPTY: StoreImage = { last: ZERO, checksum: 0, ends: [], epochs: { accepted: 0, acceptedFrom: null, current: 0 }, founded: false }

/**
 * What one member's store was told, write by write, and how much of that it has called durable. A crash leaves the state behind some write: the last durable one or a later
 * one, never half of one.
 */
export class StoreRecord {
  /** `images[0]` is behind the last durable write. */
  #images: StoreImage[] = [EMPTY]
  #tickets: number[] = [0]
  #staged = new Map<number, { meta: SnapshotMeta; runs: Run[] }>()
  #snapshot: Zxid = ZERO

  get durable(): StoreImage {
    return this.#images[0]!
  }

  /** Is the entry at `zxid` durable here? Entries of one epoch have one author, so that its last one stands for those before. */
  holds(zxid: Zxid): boolean {
    if (zxid === ZERO) return true
    const epoch = epochOf(zxid)
    const { ends } = this.durable
    for (let i = ends.length - 1; i >= 0; i--) if (ends[i]!.epoch === epoch) return ends[i]!.last >= zxid
    return false
  }

  told(write: Write): void {
    let image = this.#images.at(-1)!
    if (write.install !== null) image = installed(image, this.#staged.get(write.install))
    if (write.truncateTo !== null) image = truncated(image, write.truncateTo.zxid, write.truncateTo.checksum)
    for (const run of write.append) image = appended(image, run)
    const { last, checksum, ends } = image
    if (write.epochs !== null || write.founding !== null)
      image = { last, checksum, ends, epochs: write.epochs ?? image.epochs, founded: image.founded || write.founding !== null }
    this.#images.push(image)
    this.#tickets.push(write.ticket)
  }

  /** Write `ticket` and all before it were called durable. True when the durable history has lost its tail by that. */
  becameDurable(ticket: number): boolean {
    const before = this.durable.last
    let shrunk = false
    while (this.#tickets.length > 1 && this.#tickets[1]! <= ticket) {
      this.#images.shift()
      this.#tickets.shift()
      if (this.durable.last < before) shrunk = true
    }
    return shrunk
  }

  staged(generation: number, meta: SnapshotMeta): void {
    this.#staged.set(generation, { meta, runs: [] })
  }

  stagedAppend(generation: number, runs: readonly Run[]): void {
    this.#staged.get(generation)?.runs.push(...runs)
  }

  snapshotSaved(zxid: Zxid): void {
    if (zxid > this.#snapshot) this.#snapshot = zxid
  }

  /** The store was opened again: its state must be one of the `images` that it was told to have; `at`: which. A disk that `damages` may take a snapshot, and nothing else. @throws Violation */
  reopened(member: PeerId, stored: StoredState, damages: boolean): { readonly images: number; readonly at: number; readonly isOlder: boolean } {
    const images = this.#images.length
    const at = this.#images.findIndex((image) => same(image, stored))
    if (at < 0) {
      const expected = this.#images.map(tell).join('; or ')
      throw new Violation('recovery', `member ${member}'s store came back with ${tellStored(stored)}; expected was ${expected}`)
    }
    const snapshot = stored.snapshot?.zxid ?? ZERO
    if (snapshot < this.#snapshot && !damages) throw new Violation('recovery', `member ${member}'s store lost its snapshot at ${formatZxid(this.#snapshot)}`)
    const isOlder = snapshot < this.#snapshot
    this.#snapshot = snapshot
    this.#images = [this.#images[at]!]
    this.#tickets = [0]
    this.#staged.clear()
    return { images, at, isOlder }
  }
}

/** What all stores together must hold: everything that was committed, for ever. */
export class Durability {
  /** Of the disk that each member has. */
  readonly #records = new Map<PeerId, StoreRecord>()
  /** Of the store that the ensemble was founded with, by its member, wherever it is: it alone counts for that member (rule 9). */
  readonly #homes = new Map<PeerId, StoreRecord>()
  /** Gone for good. What they held when they went stays: their acknowledgements were true, and some may still be under way. */
  readonly #lost = new Set<StoreRecord>()
  readonly #checksums = new Map<Zxid, number>()
  readonly #snapshots = new Map<Zxid, string>()
  readonly #configuration: Configuration
  readonly #counterMax: number
  #committed: Zxid = ZERO

  /** `counterMax`: the highest counter that an epoch has room for. */
  constructor(configuration: Configuration, counterMax: number) {
    this.#configuration = configuration
    this.#counterMax = counterMax
  }

  /** The highest commit point that any member has reached. */
  get committedAnywhere(): Zxid {
    return this.#committed
  }

  record(member: PeerId): StoreRecord {
    let record = this.#records.get(member)
    if (record === undefined) {
      record = new StoreRecord()
      this.#records.set(member, record)
      this.#homes.set(member, record)
    }
    return record
  }

  /** May these members lose their disks, or get others? When all are founded. `forGood`: and when those that count without them are a quorum. */
  mayChangeDisks(members: readonly PeerId[], forGood: boolean): boolean {
    const { members: all } = this.#configuration
    if (!all.every(({ id }) => this.#records.get(id)?.durable.founded === true)) return false
    return !forGood || isQuorum(this.#configuration, (id) => this.isCounted(id) && !members.includes(id))
  }

  /** Its disk is empty now. */
  wiped(member: PeerId): void {
    this.#lost.add(this.record(member))
    this.#records.set(member, new StoreRecord())
  }

  /** Each has the other one's disk now. */
  swapped(one: PeerId, other: PeerId): void {
    const record = this.record(one)
    this.#records.set(one, this.record(other))
    this.#records.set(other, record)
  }

  /** Has `member` the store that the ensemble was founded with? */
  isCounted(member: PeerId): boolean {
    return this.record(member) === this.#homes.get(member)
  }

  /** Is a disk gone for good? */
  get hasLost(): boolean {
    return this.#lost.size > 0
  }

  /** Of one ZXID every replica's snapshot has the same bytes: so one may send what another has begun to (rule 14). @throws Violation */
  sawSnapshot(member: PeerId, { zxid }: SnapshotMeta, bytes: number, digest: number): void {
    const told = `${bytes} bytes with CRC ${digest}`
    const known = this.#snapshots.get(zxid)
    if (known === undefined) this.#snapshots.set(zxid, told)
    else if (known !== told) throw new Violation('snapshot', `member ${member} has a snapshot at ${formatZxid(zxid)} of ${told}, others one of ${known}`)
  }

  /** An entry has one author and one predecessor: whoever holds its ZXID holds the same history. @throws Violation */
  sawRun(member: PeerId, run: Run): void {
    this.#saw(member, run.previous, run.previousChecksum)
    this.#saw(member, run.last, run.checksum)
    if (counterOf(run.last) > this.#counterMax)
      throw new Violation('core', `member ${member} writes ${formatZxid(run.last)}, beyond the end of the counter, ${this.#counterMax}`)
  }

  /** @throws Violation unless a quorum holds `zxid` durably. */
  committed(zxid: Zxid, by: string): void {
    if (zxid <= this.#committed && this.hasLost) return
    if (!this.#quorumHolds(zxid)) throw new Violation('durability', `${by} ${formatZxid(zxid)}, which no quorum holds durably: ${this.#tell()}`)
    if (zxid > this.#committed) this.#committed = zxid
  }

  /** A store has dropped entries. @throws Violation when that takes something committed from a quorum. */
  shrunk(member: PeerId): void {
    if (this.hasLost ? this.#quorumLacks(this.#committed) : !this.#quorumHolds(this.#committed)) {
      throw new Violation(
        'durability',
        `member ${member} dropped entries, and ${formatZxid(this.#committed)}, which was committed, is no longer held by a quorum: ${this.#tell()}`,
      )
    }
  }

  #quorumHolds(zxid: Zxid): boolean {
    return isQuorum(this.#configuration, (id) => this.#homes.get(id)?.holds(zxid) === true)
  }

  /** Could a leader be elected without it? */
  #quorumLacks(zxid: Zxid): boolean {
    return isQuorum(this.#configuration, (id) => {
      const home = this.#homes.get(id)
      return home === undefined || (!this.#lost.has(home) && !home.holds(zxid))
    })
  }

  #saw(member: PeerId, zxid: Zxid, checksum: number): void {
    const known = this.#checksums.get(zxid)
    if (known === undefined) this.#checksums.set(zxid, checksum)
    else if (known !== checksum) throw new Violation('agreement', `member ${member} holds another history up to ${formatZxid(zxid)} than others do`)
  }

  #tell(): string {
    return [...this.#homes]
      .map(([id, record]) => `the store of member ${id}${this.#lost.has(record) ? ', which is lost' : ''}: ${tell(record.durable)}`)
      .join('; ')
  }
}

function installed(image: StoreImage, staged: { meta: SnapshotMeta; runs: readonly Run[] } | undefined): StoreImage {
  if (staged === undefined) throw new Violation('core', 'a write installs a generation that was never staged')
  const { meta } = staged
  let next: StoreImage = { ...image, last: meta.zxid, checksum: meta.checksum, ends: meta.endPoints }
  for (const run of staged.runs) next = appended(next, run)
  return next
}

function truncated(image: StoreImage, zxid: Zxid, checksum: number): StoreImage {
  const ends = image.ends.filter((end) => end.last <= zxid)
  if (zxid !== ZERO && ends.at(-1)?.last !== zxid) ends.push({ epoch: epochOf(zxid), last: zxid, checksum })
  return { ...image, last: zxid, checksum, ends }
}

function appended(image: StoreImage, run: Run): StoreImage {
  if (run.previous !== image.last || run.previousChecksum !== image.checksum)
    throw new Violation('core', `a run behind ${formatZxid(run.previous)} is appended to a log that ends at ${formatZxid(image.last)}`)
  const added = endPointsOf(run)
  const ends = image.ends.slice(0, image.ends.at(-1)?.epoch === added[0]!.epoch ? -1 : undefined)
  for (const end of added) ends.push(end)
  const { epochs, founded } = image
  return { last: run.last, checksum: run.checksum, ends, epochs, founded }
}

function same(image: StoreImage, { log, epochs, founding }: StoredState): boolean {
  return (
    image.last === log.last &&
    image.checksum === log.checksum &&
    image.epochs.accepted === epochs.accepted &&
    image.epochs.current === epochs.current &&
    image.epochs.acceptedFrom?.nonce === epochs.acceptedFrom?.nonce &&
    image.founded === (founding !== null)
  )
}

function tell({ last, epochs, founded }: StoreImage): string {
  return `${formatZxid(last)}, epochs ${epochs.accepted}/${epochs.current}${founded ? '' : ', not founded'}`
}

function tellStored({ log, epochs, founding }: StoredState): string {
  return `${formatZxid(log.last)}, epochs ${epochs.accepted}/${epochs.current}${founding === null ? ', not founded' : ''}`
}
