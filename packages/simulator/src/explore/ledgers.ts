import { formatZxid, type Zxid } from '@antiphon/consensus-core'
import type { Entry } from './disks.ts'
import { Facts } from './interner.ts'

/** What was ever committed, by anybody, and who was established in which epoch. */
export interface Ledger {
  readonly committed: readonly Entry[]
  readonly leaders: readonly (readonly [epoch: number, member: number])[]
}

const EMPTY: Ledger = { committed: [], leaders: [] }

/** The judge across cores. A breach is told as a sentence. */
export class Ledgers extends Facts<Ledger> {
  ledger(id: number): Ledger {
    return id === 0 ? EMPTY : this.value(id)
  }

  /** `member` commits its `entries` up to `upTo`. */
  commit(id: number, member: number, entries: readonly Entry[], upTo: Zxid): number | string {
    const { committed, leaders } = this.ledger(id)
    const count = entries.findIndex(({ zxid }) => zxid === upTo) + 1
    if (count === 0) return `member ${member + 1} commits up to ${formatZxid(upTo)}, which it does not hold`
    for (let i = 0; i < Math.min(count, committed.length); i++)
      if (!same(entries[i]!, committed[i]!))
        return `member ${member + 1} commits ${formatZxid(entries[i]!.zxid)} where ${formatZxid(committed[i]!.zxid)} was committed, or another entry of that ZXID`
    return count <= committed.length ? id : this.add({ committed: entries.slice(0, count), leaders })
  }

  /** `member` is the established leader of `epoch`, with `entries`. */
  establish(id: number, member: number, epoch: number, entries: readonly Entry[]): number | string {
    const { committed, leaders } = this.ledger(id)
    const lost = committed.findIndex((entry, i) => entries[i] === undefined || !same(entries[i], entry))
    if (lost >= 0) return `the leader of epoch ${epoch}, member ${member + 1}, lacks ${formatZxid(committed[lost]!.zxid)}, which was committed`
    const other = leaders.find(([led]) => led === epoch)
    if (other === undefined) return this.add({ committed, leaders: [...leaders, [epoch, member]] })
    return other[1] === member ? id : `epoch ${epoch} has two established leaders, ${other[1] + 1} and ${member + 1}`
  }

  /** Everything committed is durable at more than half of `disks`. */
  durable(id: number, disks: readonly (readonly Entry[])[]): string | null {
    const { committed } = this.ledger(id)
    const last = committed.length - 1
    if (last < 0) return null
    let holders = 0
    for (const entries of disks) if (entries[last] !== undefined && same(entries[last], committed[last]!)) holders++
    return holders * 2 > disks.length ? null : `${formatZxid(committed[last]!.zxid)} is committed, and durable at ${holders} of ${disks.length}`
  }
}

/** The checksum covers everything below. */
function same(a: Entry, b: Entry): boolean {
  return a.zxid === b.zxid && a.checksum === b.checksum
}
