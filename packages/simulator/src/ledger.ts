import { formatZxid, type PeerId, type Zxid } from '@antiphon/ports'
import type { KeyedChange } from './machine.ts'
import { Violation } from './violation.ts'

interface LedgerEntry {
  readonly zxid: Zxid
  readonly change: KeyedChange
  /** Null until a sound state has shown it. */
  digest: number | null
  readonly time: number
}

/**
 * The one order, as the first member to apply each change showed it; every other member must show the same. Everything that a machine applies or restores passes through here.
 */
export class Ledger {
  readonly #entries: LedgerEntry[] = []
  readonly #placeOfId = new Map<number, number>()
  readonly #numbers = new Map<number, number>()
  /** How many entries each member's machine holds. */
  readonly #held = new Map<PeerId, number>()
  readonly #report: (violation: Violation) => void

  constructor(report: (violation: Violation) => void) {
    this.#report = report
  }

  get length(): number {
    return this.#entries.length
  }

  /** Where request `id` stands; undefined when it was never applied. */
  zxidOf(id: number): Zxid | undefined {
    const place = this.#placeOfId.get(id)
    return place === undefined ? undefined : this.#entries[place]!.zxid
  }

  /** Ids in the one order. */
  ids(): readonly number[] {
    return this.#entries.map(({ change }) => change.id)
  }

  /** How many changes `member`'s machine holds. */
  held(member: PeerId): number {
    return this.#held.get(member) ?? 0
  }

  /** A new incarnation: its machine is empty. */
  booted(member: PeerId): void {
    this.#held.set(member, 0)
  }

  applied(member: PeerId, zxid: Zxid, time: number, change: KeyedChange, digest: number | null): void {
    const place = this.held(member)
    const known = this.#entries[place]
    this.#held.set(member, place + 1)
    if (known === undefined) this.#append(member, zxid, time, change, digest)
    else if (known.zxid !== zxid) this.#fail('agreement', `member ${member} applies ${formatZxid(zxid)} where others applied ${formatZxid(known.zxid)}`)
    else if (!isSame(known.change, change) || known.time !== time)
      this.#fail('agreement', `member ${member} applies request ${change.id} at ${formatZxid(zxid)}, others request ${known.change.id}`)
    else if (differs(known, digest)) this.#fail('digest', `member ${member} has another state at ${formatZxid(zxid)}`)
  }

  restored(member: PeerId, zxid: Zxid, digest: number | null): void {
    let place = this.#entries.length
    while (place > 0 && this.#entries[place - 1]!.zxid > zxid) place--
    if (place < this.held(member)) this.#fail('integrity', `member ${member} restores ${formatZxid(zxid)}, below what it had applied`)
    if (place === 0 ? digest !== 0 && digest !== null : differs(this.#entries[place - 1]!, digest))
      this.#fail('digest', `member ${member} has another state after restoring ${formatZxid(zxid)}`)
    this.#held.set(member, place)
  }

  #append(member: PeerId, zxid: Zxid, time: number, change: KeyedChange, digest: number | null): void {
    const last = this.#entries.at(-1)
    if (last !== undefined && zxid <= last.zxid) this.#fail('agreement', `member ${member} applies ${formatZxid(zxid)} behind ${formatZxid(last.zxid)}`)
    if (last !== undefined && time < last.time) this.#fail('time', `the entry ${formatZxid(zxid)} is ${last.time - time} ms older than its predecessor`)
    const earlier = this.#placeOfId.get(change.id)
    if (earlier !== undefined)
      this.#fail('integrity', `request ${change.id} stands at ${formatZxid(this.#entries[earlier]!.zxid)} and again at ${formatZxid(zxid)}`)
    // What a reign's machine asks by itself has neither origin nor number.
    const number = change.origin === 0 ? -1 : (this.#numbers.get(change.origin) ?? 0)
    if (change.number <= number) this.#fail('origin-order', `request ${change.number} of origin ${change.origin} comes behind its request ${number}`)
    this.#numbers.set(change.origin, change.number)
    this.#placeOfId.set(change.id, this.#entries.length)
    this.#entries.push({ zxid, change, digest, time })
  }

  #fail(invariant: Violation['invariant'], message: string): void {
    this.#report(new Violation(invariant, message))
  }
}

function isSame(one: KeyedChange, other: KeyedChange): boolean {
  return (
    one.id === other.id &&
    one.kind === other.kind &&
    one.key === other.key &&
    one.version === other.version &&
    one.amount === other.amount &&
    one.value === other.value &&
    one.origin === other.origin &&
    one.number === other.number
  )
}

/** A state that went wrong on purpose says nothing; the first sound one sets the measure. */
function differs(entry: LedgerEntry, digest: number | null): boolean {
  if (digest === null) return false
  entry.digest ??= digest
  return entry.digest !== digest
}
