import {
  checksumBehind,
  cutBehind,
  type EpochEnd,
  type Epochs,
  endPointsOf,
  entryLength,
  entryZxid,
  type Founding,
  formatZxid,
  type Run,
  type StoredState,
  type StoreId,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/consensus-core'
import type { Claims } from './cores.ts'
import { Facts, UNIT } from './interner.ts'

/** What a disk holds. No snapshots: the logs of a small ensemble are short. */
export interface Contents {
  readonly founding: Founding | null
  readonly epochs: Epochs
  readonly runs: readonly Run[]
}

export interface Entry {
  readonly zxid: Zxid
  readonly checksum: number
}

const NOTHING: Entry = { zxid: ZERO, checksum: 0 }

/** Contents of disks and what writes make of them. A write is carried out whole, and in the order in which it was handed over. */
export class Disks {
  readonly contents: Facts<Contents> = new Facts<Contents>()
  readonly #written = new Map<number, number>()
  readonly #entries: (readonly Entry[] | undefined)[] = []

  add(contents: Contents): number {
    return this.contents.add(contents)
  }

  /** The contents behind a write; `id` is the write's own number. */
  write(contents: number, id: number, write: Write): number {
    const key = contents * UNIT + id
    const known = this.#written.get(key)
    if (known !== undefined) return known
    const made = this.add(changed(this.contents.value(contents), write))
    this.#written.set(key, made)
    return made
  }

  /** From the first one on. */
  entries(contents: number): readonly Entry[] {
    return (this.#entries[contents] ??= entriesOf(this.contents.value(contents).runs))
  }

  /** What is wrong with a core's claims, as a sentence: of its history and its epochs, against all that it handed over, and against what of that is durable. */
  belie(claims: Claims, readable: number, durable: number): string | null {
    const { epochs } = this.contents.value(readable)
    const tail = this.entries(readable).at(-1) ?? NOTHING
    const { zxid } = this.entries(durable).at(-1) ?? NOTHING
    if (tail.zxid !== claims.last || tail.checksum !== claims.checksum)
      return `its history ends at ${formatZxid(claims.last)}, what it handed to its store at ${formatZxid(tail.zxid)}`
    if (epochs.accepted !== claims.accepted || epochs.current !== claims.current)
      return `its epochs are ${claims.accepted}/${claims.current}, its store's ${epochs.accepted}/${epochs.current}`
    return zxid === claims.durable ? null : `it calls its history durable up to ${formatZxid(claims.durable)}, and it is up to ${formatZxid(zxid)}`
  }

  stored(contents: number, storeId: StoreId): StoredState {
    const { founding, epochs, runs } = this.contents.value(contents)
    const tail = runs[runs.length - 1]
    const endPoints: EpochEnd[] = []
    for (const run of runs) {
      for (const end of endPointsOf(run)) {
        if (endPoints[endPoints.length - 1]?.epoch === end.epoch) endPoints.pop()
        endPoints.push(end)
      }
    }
    return {
      storeId,
      founding,
      epochs,
      snapshot: null,
      log: { start: ZERO, last: tail?.last ?? ZERO, checksum: tail?.checksum ?? 0, endPoints, time: tail?.time ?? 0 },
    }
  }
}

function changed(before: Contents, { founding, install, truncateTo, append, epochs }: Write): Contents {
  if (install !== null) throw new Error('a snapshot is installed, and nobody took one')
  const kept = truncateTo === null ? before.runs : before.runs.map((run) => cutBehind(run, truncateTo.zxid)).filter((run) => run !== null)
  return { founding: founding ?? before.founding, epochs: epochs ?? before.epochs, runs: append.length === 0 ? kept : [...kept, ...append] }
}

function entriesOf(runs: readonly Run[]): Entry[] {
  const entries: Entry[] = []
  for (const { bytes } of runs)
    for (let at = 0; at < bytes.length; at += entryLength(bytes, at)) entries.push({ zxid: entryZxid(bytes, at), checksum: checksumBehind(bytes, at) })
  return entries
}
