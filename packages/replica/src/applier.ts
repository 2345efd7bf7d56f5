import {
  checksumBehind,
  counterOf,
  cutBehind,
  type Digest,
  entryKind,
  entryLength,
  entryMachine,
  entryOrigin,
  entryPending,
  entrySequence,
  entryTime,
  entryZxid,
  formatZxid,
  KIND_REFUSAL,
  payloadEnd,
  payloadStart,
  type Run,
  SHELL_MACHINE,
  type Write,
} from '@antiphon/consensus-core'
import { AntiphonError, type Checksum, type Clock, type LogStore, type Millis, ZERO, type Zxid } from '@antiphon/ports'
import { MachineBatch, OTHERS } from './batch.ts'
import { decodeDeclaration } from './declaration.ts'
import { digestOf } from './digest.ts'
import { diverged, messageOf } from './errors.ts'
import type { Forwarding } from './forwarding.ts'
import { decodeConfirmation, decodeRegistration, decodeRetirement, type OriginRow, OriginTable } from './origins.ts'
import type { Proposals } from './proposals.ts'
import { decodeRefusal } from './refusal.ts'
import { KEPT_REFUSAL, KEPT_RESULT } from './results.ts'
import type { NamedMachine } from './settings.ts'
import { PieceSize, Slice } from './slicer.ts'
import { describeMachines } from './snapshot-format.ts'
import { PIECE_ENTRIES, TableSteps } from './table-steps.ts'

const READ_BYTES = 1024 * 1024
/** Runs above `applied` that are kept in memory; what is beyond is read back from the store. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024

export interface ApplierHost {
  readonly machines: readonly NamedMachine[]
  readonly store: LogStore
  readonly clock: Clock
  readonly sliceMs: Millis
  readonly proposals: Proposals
  readonly forwarding: Forwarding
  /** Digests are taken where a ZXID's counter is a multiple of it; 0: never. */
  readonly digestEvery: number
  /** Of results that are kept for one origin. */
  readonly resultsBytesMax: number
  /** There is more to apply: call `advance` again, in a later turn. */
  wake(): void
  /** The state as of `zxid`, which has just been reached. */
  digest(zxid: Zxid, digest: Digest): void
  fault(error: AntiphonError): void
}

/**
 * Brings committed entries into the machines, in order, each once. Their bytes are those that came with the writes, or are read back from the store. The exactly-once
 * table advances with them.
 */
export class Applier {
  /** applied <= target always. */
  applied: Zxid = ZERO
  /** The history's checksum, and the last entry's time, at `applied`. */
  checksum: Checksum = 0
  time: Millis = 0
  table: OriginTable = new OriginTable()
  /** Applied since this process began, and since the last `reset`. */
  entries = 0
  /** Of the log, in those entries. */
  bytes = 0
  readonly #host: ApplierHost
  readonly #batches: readonly MachineBatch[]
  readonly #slice: Slice
  readonly #pieces: PieceSize
  #target: Zxid = ZERO
  /** Above `applied`, ascending; there may be gaps. `#at` is the place of the next entry in the first one that is being applied. */
  #kept: Run[] = []
  #keptBytes = 0
  #current: Run | null = null
  #at = 0
  /** Counts what makes a read of the store void. */
  #generation = 0
  #reading = false
  /** A slice was used up: nothing is applied until the loop has had its turn, however often `advance` is called. */
  #paused = false
  /** What a piece means for the table, in the order of its entries. */
  readonly #steps = new TableSteps()
  readonly #results: (readonly unknown[])[] = []
  /** What a piece means for us as an origin: told behind its results. */
  readonly #events: (() => void)[] = []
  /** Installs under way: the machines are not of this history until they are restored. */
  #blocked = 0
  /** The machines' state is void (rule 28): nothing is applied to it. */
  #void = false
  #stopped = false
  /** The history says which machines it is for: by its first entry, or in the head of a snapshot. */
  declared = false

  constructor(host: ApplierHost) {
    this.#host = host
    this.#batches = host.machines.map(() => new MachineBatch())
    this.#slice = new Slice(host.sliceMs, 0)
    this.#pieces = new PieceSize(host.sliceMs, PIECE_ENTRIES)
  }

  /** Is the applier waiting for another state? */
  get isBlocked(): boolean {
    return this.#blocked > 0 || this.#void
  }

  /** The state is void until the next `reset`. */
  quarantine(): void {
    this.#void = true
    this.#forget()
  }

  /** A write was handed to the store: its entries will be committed, or cut off by a later one. */
  note(write: Write): void {
    if (write.install !== null) {
      this.#blocked++
      this.#forget()
    } else if (write.truncateTo !== null) {
      this.#truncate(write.truncateTo.zxid)
    }
    for (const run of write.append) {
      if (this.#keptBytes + run.bytes.length > KEPT_BYTES_MAX) continue
      this.#kept.push(run)
      this.#keptBytes += run.bytes.length
    }
  }

  commitTo(zxid: Zxid): void {
    if (zxid > this.#target) this.#target = zxid
  }

  /** The machines now hold the snapshot at `zxid`; `installed`: it came by a write that installs. */
  reset(zxid: Zxid, checksum: Checksum, time: Millis, table: OriginTable, installed: boolean): void {
    this.applied = zxid
    this.checksum = checksum
    this.time = time
    this.table = table
    if (zxid > this.#target) this.#target = zxid
    if (installed) this.#blocked--
    this.#void = false
    this.#current = null
    this.declared = true
    this.#generation++
  }

  stop(): void {
    this.#stopped = true
    this.#forget()
  }

  /** Applies what is committed, for one slice of time at most. */
  advance(): void {
    if (this.applied >= this.#target || this.#paused) return
    const { clock } = this.#host
    let begun = clock.monotonic()
    this.#slice.begin(begun)
    while (this.applied < this.#target && !this.isBlocked && !this.#stopped) {
      const run = this.#next()
      if (run === null) {
        if (!this.#reading) void this.#read()
        return
      }
      const { entries } = this
      if (!this.#tryPiece(run)) return
      const now = clock.monotonic()
      this.#pieces.took(this.entries - entries, now - begun)
      begun = now
      if (this.#slice.isUsedUp(now) && this.applied < this.#target) {
        this.#paused = true
        clock.defer(() => {
          this.#paused = false
          this.#host.wake()
        })
        return
      }
    }
  }

  /** Whatever throws in the midst of a piece, nothing of it is ever applied a second time. */
  #tryPiece(run: Run): boolean {
    try {
      this.#applyPiece(run)
      return true
    } catch (thrown) {
      this.#fail(thrown instanceof AntiphonError ? thrown : diverged(`applying failed: ${messageOf(thrown)}`, {}, thrown))
      return false
    }
  }

  /** The run that holds the entry behind `applied`, or null when it is not in memory. */
  #next(): Run | null {
    if (this.#current !== null && this.#at < this.#current.bytes.length) return this.#current
    this.#current = null
    while (this.#kept.length > 0) {
      const run = this.#kept[0]!
      if (run.previous > this.applied) return null
      this.#kept.shift()
      this.#keptBytes -= run.bytes.length
      if (run.last <= this.applied) continue
      this.#begin(run)
      return run
    }
    return null
  }

  #begin(run: Run): void {
    this.#current = run
    this.#at = 0
    while (entryZxid(run.bytes, this.#at) <= this.applied) this.#at += entryLength(run.bytes, this.#at)
  }

  async #read(): Promise<void> {
    const generation = this.#generation
    const upTo = this.#kept.length > 0 && this.#kept[0]!.previous < this.#target ? this.#kept[0]!.previous : this.#target
    this.#reading = true
    try {
      const runs = await this.#host.store.read(this.applied, upTo, READ_BYTES)
      this.#reading = false
      if (this.#stopped) return
      if (generation === this.#generation) {
        this.#kept.unshift(...runs)
        for (const run of runs) this.#keptBytes += run.bytes.length
        if (runs.length === 0) throw diverged('the store has lost committed entries', { after: this.applied, upTo })
      }
      this.#host.wake()
    } catch (error) {
      this.#reading = false
      if (generation !== this.#generation) this.#host.wake()
      else if (!this.#stopped)
        this.#fail(error instanceof AntiphonError ? error : diverged(`committed entries can not be read back: ${messageOf(error)}`, {}, error))
    }
  }

  #forget(): void {
    this.#kept = []
    this.#keptBytes = 0
    this.#current = null
    this.#generation++
  }

  /** What is above `zxid` will never be committed; what is applied is never above it. */
  #truncate(zxid: Zxid): void {
    this.#generation++
    if (this.#current !== null && this.#current.last > zxid) this.#current = cutBehind(this.#current, zxid)
    while (this.#kept.length > 0) {
      const run = this.#kept.pop()!
      this.#keptBytes -= run.bytes.length
      const rest = cutBehind(run, zxid)
      if (rest === null) continue
      this.#kept.push(rest)
      this.#keptBytes += rest.bytes.length
      break
    }
  }

  /** One piece of `run`: the numbers first, then each machine in one call, then what is kept of their results, then those that wait here. */
  #applyPiece(run: Run): void {
    const { bytes } = run
    const { slots } = this.#host.proposals
    const target = this.#target
    const ourOrigin = this.#host.forwarding.origin
    for (const batch of this.#batches) batch.begin(bytes)
    this.#steps.clear()
    let at = this.#at
    let last = at
    let entries = 0
    let ours = 0
    let row: OriginRow | null = null
    while (at < bytes.length && entries < this.#pieces.entries) {
      if (entryZxid(bytes, at) > target) break
      const origin = entryOrigin(bytes, at)
      let sequence = 0
      if (origin !== ZERO) {
        if (row === null || row.origin !== origin) row = this.table.get(origin) ?? null
        sequence = entrySequence(bytes, at)
        if (row === null || row.last + 1 !== sequence) {
          this.#fail(
            diverged(`the entry at ${formatZxid(entryZxid(bytes, at))} is number ${sequence} of an origin whose last is ${row?.last ?? 'unknown'}`, { origin }),
          )
          return
        }
        row.last = sequence
        if (origin === ourOrigin) ours = sequence
        else sequence = OTHERS
      }
      const machine = entryMachine(bytes, at)
      if (machine === SHELL_MACHINE) {
        if (!this.#applyOwn(bytes, at)) return
        row = null
      } else if (machine > this.#batches.length) {
        this.#fail(diverged(`the entry at ${formatZxid(entryZxid(bytes, at))} is for machine ${machine}, of ${this.#batches.length}`, { machine }))
        return
      } else if (entryKind(bytes, at) !== KIND_REFUSAL) {
        const batch = this.#batches[machine - 1]!
        if (row !== null && sequence !== 0) this.#steps.add(row, row.last - entryPending(bytes, at), machine, batch.length)
        batch.add(at, sequence)
      } else if (row !== null && sequence !== 0) {
        this.#steps.add(row, row.last - entryPending(bytes, at), machine, -at - 1)
        const slot = slots.at(sequence)
        if (sequence > 0 && slot !== null && slot.resolve !== null) slots.reject(slot, decodeRefusal(bytes, payloadStart(at), payloadEnd(bytes, at)))
      }
      entries++
      last = at
      at += entryLength(bytes, at)
      if (this.#isDigestDue(entryZxid(bytes, last))) break
    }
    if (entries === 0) {
      this.#fail(diverged(`${formatZxid(target)} is committed, and no entry ends there`, { applied: this.applied }))
      return
    }
    if (!this.#callMachines() || !this.#keepResults(bytes)) return
    this.#resolve()
    this.bytes += at - this.#at
    this.#at = at
    this.entries += entries
    this.applied = entryZxid(bytes, last)
    this.time = entryTime(bytes, last)
    this.checksum = checksumBehind(bytes, last)
    if (ours !== 0) {
      slots.settleUpTo(ours)
      this.#host.proposals.admitParked()
    }
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) event()
    if (this.#isDigestDue(this.applied)) this.#host.digest(this.applied, digestOf(this.#host.machines, this.table))
  }

  #isDigestDue(zxid: Zxid): boolean {
    const { digestEvery } = this.#host
    return digestEvery > 0 && counterOf(zxid) % digestEvery === 0
  }

  #callMachines(): boolean {
    const { machines } = this.#host
    for (let m = 0; m < machines.length; m++) {
      const batch = this.#batches[m]!
      if (batch.length === 0) continue
      const { name, machine } = machines[m]!
      let results: readonly unknown[]
      try {
        results = machine.apply(batch)
        if (!Array.isArray(results)) throw new TypeError('apply did not return an array of results')
      } catch (thrown) {
        this.#fail(diverged(`the machine \`${name}\` threw in apply: ${messageOf(thrown)}`, { machine: name, ...batch.range() }, thrown))
        return false
      }
      this.#results[m] = results
    }
    return true
  }

  /** Rule 22: until its origin has it, each result stays in the table. In the order of the entries, for what fits hangs on what was confirmed by then. */
  #keepResults(bytes: Uint8Array): boolean {
    const { machines, resultsBytesMax } = this.#host
    const { rows, confirmed, machine, places } = this.#steps
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!
      row.confirmed = confirmed[i]!
      row.results.dropUpTo(row.confirmed)
      const number = machine[i]!
      const place = places[i]!
      if (number === SHELL_MACHINE) continue
      if (place < 0) {
        const at = -place - 1
        row.results.add(KEPT_REFUSAL, number, bytes, payloadStart(at), payloadEnd(bytes, at), resultsBytesMax)
        continue
      }
      let result: Uint8Array
      try {
        result = machines[number - 1]!.machine.encodeResult(this.#results[number - 1]![place])
      } catch (thrown) {
        const { name } = machines[number - 1]!
        this.#fail(diverged(`the machine \`${name}\` threw in encodeResult: ${messageOf(thrown)}`, { machine: name }, thrown))
        return false
      }
      row.results.add(KEPT_RESULT, number, result, 0, result.length, resultsBytesMax)
    }
    return true
  }

  #resolve(): void {
    const { slots } = this.#host.proposals
    for (let m = 0; m < this.#batches.length; m++) {
      const batch = this.#batches[m]!
      for (let i = 0; i < batch.length; i++) {
        const sequence = batch.sequence(i)
        if (sequence > 0) slots.resolve(sequence, this.#results[m]![i])
      }
    }
  }

  /** An entry of the shell itself. */
  #applyOwn(bytes: Uint8Array, at: number): boolean {
    const declared = decodeDeclaration(bytes, payloadStart(at), payloadEnd(bytes, at))
    if (declared !== null) return this.#expectMachines(declared)
    const { forwarding } = this.#host
    const registration = decodeRegistration(bytes, payloadStart(at), payloadEnd(bytes, at))
    const retired = decodeRetirement(bytes, payloadStart(at), payloadEnd(bytes, at))
    const confirmation = decodeConfirmation(bytes, payloadStart(at), payloadEnd(bytes, at))
    if (retired !== null) {
      this.table.retire(retired)
      this.#events.push(() => forwarding.onRetired(retired))
      return true
    }
    if (confirmation !== null) {
      const row = this.table.get(confirmation.origin)
      if (row !== undefined) this.#steps.add(row, Math.min(confirmation.confirmed, row.last), SHELL_MACHINE, 0)
      return true
    }
    if (registration === null) {
      this.#fail(
        new AntiphonError('VERSION_MISMATCH', `the entry at ${formatZxid(entryZxid(bytes, at))} is of a kind that this version does not know`, {
          remedy: 'Run the same version on every replica; upgrade this one.',
        }),
      )
      return false
    }
    const zxid = entryZxid(bytes, at)
    this.table.register(zxid, registration.storeId, registration.nonce)
    this.#events.push(() => forwarding.onRegistered(zxid, registration))
    return true
  }

  #expectMachines(declared: string): boolean {
    const named = JSON.stringify(describeMachines(this.#host.machines))
    this.declared = true
    if (declared === named) return true
    this.#fail(
      new AntiphonError('VERSION_MISMATCH', `the history was written with the machines ${declared}, the settings name ${named}`, {
        outcome: 'unknown',
        remedy: 'Start with the machines, names, versions and order that the history was written with; nothing was applied to others.',
      }),
    )
    return false
  }

  #fail(error: AntiphonError): void {
    this.stop()
    this.#host.fault(error)
  }
}
