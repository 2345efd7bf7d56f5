import type { DiskImage, DiskOperation } from './flat-disk.ts'
import { written } from './memory-folder.ts'

const SECTOR_BYTES = 512

/**
 * What becomes of everything that was not synchronised when the machine stops. `lost`: all of it is gone. `kept`: all of it is there, as when the process alone was killed.
 * A number: any part of it, at random by this seed: of writes nothing, everything, a beginning, some sectors, or their length with zeros; of names any subset.
 */
export type Fate = 'lost' | 'kept' | number

type Change = Extract<DiskOperation, { op: 'write' | 'resize' }>
type NameChange = (names: Map<string, Inode>) => void

class Inode {
  current: Uint8Array
  durable: Uint8Array
  unsynced: Change[] = []

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.current = bytes.slice()
    this.durable = bytes.slice()
  }

  change(change: Change): void {
    this.current = changed(this.current, change)
    this.unsynced.push(change)
  }

  sync(failed: boolean): void {
    if (!failed) for (const change of this.unsynced) this.durable = changed(this.durable, change)
    this.unsynced = []
  }

  after(fate: Fate, random: () => number): Uint8Array {
    if (fate === 'kept') return this.current.slice()
    let bytes: Uint8Array = this.durable.slice()
    if (fate !== 'lost')
      for (const change of this.unsynced) bytes = change.op === 'write' ? torn(bytes, change, random) : random() % 2 ? changed(bytes, change) : bytes
    return bytes
  }
}

/** The disk of a machine that may stop at any time: operations go in one by one, and after each one it can be asked what would be left. */
export class Platter {
  readonly #files: Map<number, Inode> = new Map()
  readonly #names: Map<string, Inode> = new Map()
  readonly #durableNames: Map<string, Inode> = new Map()
  #unsynced: NameChange[] = []

  constructor(initial: DiskImage) {
    for (const [name, bytes] of initial) this.#durableNames.set(name, new Inode(bytes))
    this.#names = new Map(this.#durableNames)
  }

  apply(operation: DiskOperation): void {
    switch (operation.op) {
      case 'open':
        this.#files.set(operation.file, this.#named(operation.name))
        break
      case 'create': {
        const inode = new Inode()
        this.#files.set(operation.file, inode)
        this.#rename((names) => names.set(operation.name, inode))
        break
      }
      case 'write':
      case 'resize':
        this.#numbered(operation.file).change(operation)
        break
      case 'sync':
        this.#numbered(operation.file).sync(operation.failed)
        break
      case 'rename': {
        const inode = this.#named(operation.from)
        this.#rename((names) => {
          if (names.get(operation.from) === inode) names.delete(operation.from)
          names.set(operation.to, inode)
        })
        break
      }
      case 'remove': {
        const inode = this.#named(operation.name)
        this.#rename((names) => {
          if (names.get(operation.name) === inode) names.delete(operation.name)
        })
        break
      }
      case 'syncDirectory':
        for (const change of this.#unsynced) change(this.#durableNames)
        this.#unsynced = []
    }
  }

  after(fate: Fate): DiskImage {
    const random = draws(typeof fate === 'number' ? fate : 0)
    const names = new Map(fate === 'kept' ? this.#names : this.#durableNames)
    if (typeof fate === 'number') for (const change of this.#unsynced) if (random() % 2 === 0) change(names)
    return new Map([...names].map(([name, inode]) => [name, inode.after(fate, random)]))
  }

  #rename(change: NameChange): void {
    change(this.#names)
    this.#unsynced.push(change)
  }

  #named(name: string): Inode {
    const inode = this.#names.get(name)
    if (inode === undefined) throw new Error(`the disk's record tells of ${name}, which is not there`)
    return inode
  }

  #numbered(file: number): Inode {
    const inode = this.#files.get(file)
    if (inode === undefined) throw new Error(`the disk's record tells of file ${file}, which was never opened`)
    return inode
  }
}

function changed(bytes: Uint8Array, change: Change): Uint8Array {
  if (change.op === 'write') return change.bytes.length === 0 ? bytes : written(bytes, change.bytes, change.offset)
  const resized = new Uint8Array(change.size)
  resized.set(bytes.subarray(0, change.size))
  return resized
}

function torn(before: Uint8Array, { offset, bytes }: Extract<Change, { op: 'write' }>, random: () => number): Uint8Array {
  const keep = (from: number, to: number, into: Uint8Array): Uint8Array => (to > from ? written(into, bytes.subarray(from, to), offset + from) : into)
  const fate = random() % 5
  if (fate === 0) return before
  if (fate === 1) return keep(0, bytes.length, before)
  if (fate === 2) return keep(0, random() % (bytes.length + 1), before)
  if (fate === 3) {
    const end = offset + bytes.length
    return end > before.length ? written(before, new Uint8Array(end - before.length), before.length) : before
  }
  let after = before
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES))
    if (random() % 2 === 0) after = keep(at, end, after)
    at = end
  }
  return after
}

/** The same integers for the same seed. */
export function draws(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}
