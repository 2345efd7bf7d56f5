import type { SnapshotMeta, Zxid } from '@antiphon/ports'
import type { SnapshotReader } from './files.ts'

interface Held {
  readonly zxid: Zxid
  readonly name: string
  /** Readers that are open: the file stays. */
  pins: number
  /** To be removed with the last reader. */
  doomed: boolean
}

/** The finished snapshots of the installed generation, and who reads them. */
export class SnapshotShelf {
  /** Ascending. */
  #held: Held[] = []
  readonly #readers = new Map<SnapshotReader, Held>()

  constructor(snapshots: readonly { readonly zxid: Zxid; readonly name: string }[] = []) {
    this.#held = snapshots.map(({ zxid, name }) => ({ zxid, name, pins: 0, doomed: false }))
  }

  get newest(): { readonly zxid: Zxid; readonly name: string } | undefined {
    return this.#held.at(-1)
  }

  /** Ascending. */
  get zxids(): readonly Zxid[] {
    return this.#held.map(({ zxid }) => zxid)
  }

  at(zxid: Zxid): { readonly zxid: Zxid; readonly name: string } | undefined {
    return this.#held.find((held) => held.zxid === zxid)
  }

  get oldest(): { readonly zxid: Zxid; readonly name: string } | undefined {
    return this.#held[0]
  }

  add({ zxid }: SnapshotMeta, name: string): void {
    if (this.#held.some((held) => held.zxid === zxid)) return
    this.#held.push({ zxid, name, pins: 0, doomed: false })
    this.#held.sort((a, b) => a.zxid - b.zxid)
  }

  pin(reader: SnapshotReader): void {
    const held = this.#held.find(({ name }) => name === reader.name)!
    held.pins++
    this.#readers.set(reader, held)
  }

  /** Names of files that may go now. */
  unpin(reader: SnapshotReader): string[] {
    const held = this.#readers.get(reader)
    if (held === undefined) return []
    this.#readers.delete(reader)
    reader.close()
    held.pins--
    return held.doomed && held.pins === 0 ? [held.name] : []
  }

  unpinAll(): void {
    for (const reader of [...this.#readers.keys()]) this.unpin(reader)
  }

  /** Forgets all but the newest `count`: the names of files that may go now. */
  keep(count: number): string[] {
    const free: string[] = []
    for (const held of this.#held.splice(0, Math.max(0, this.#held.length - count))) {
      held.doomed = true
      if (held.pins === 0) free.push(held.name)
    }
    return free
  }
}
