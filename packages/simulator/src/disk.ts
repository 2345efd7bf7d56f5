import type { Disk, FileHandle } from '@antiphon/storage-file/engine'
import type { DiskConditions } from './profile.ts'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

interface FileNode {
  /** Capacity grows by doubling; `size` of it is the file. */
  bytes: Uint8Array
  size: number
  /** As of the last sync. */
  sizeDurable: number
  /** Writes since the last sync, oldest first: what they have overwritten. */
  unsynced: { readonly offset: number; readonly length: number; readonly before: Uint8Array }[]
  /** How many of these a failed sync has given up: they can be read until the machine dies, and no later sync makes them durable. */
  givenUp: number
  /** Where each of the last flushes that had something to flush began to write: something that was flushed later follows what stands before all of them. */
  frontier: number[]
}

/** One byte that has changed by itself. */
interface Rot {
  readonly node: FileNode
  readonly at: number
  readonly mask: number
}

/** A change of the folder: names that point elsewhere, or (null) nowhere. */
type NameChange = readonly (readonly [name: string, node: FileNode | null])[]

const SECTOR = 512
const NOTHING = new Uint8Array(0)
/** A batch may be followed by as many flushes, less one, that only fill the file with zeros. */
const FRONTIERS = 5
const HANG_MS = 1e12
/** Of one that is finished: others are written under other names. */
const SNAPSHOT_NAME = /^snapshot-[0-9a-f-]+$/

/** What can be asked of a disk. */
export type DiskOperation = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'remove' | 'syncDirectory'

/** What survives of the unsynced: nothing, everything, the oldest part, or any part. */
type Survival = 'none' | 'all' | 'prefix' | 'any'

/** A folder on a disk that outlives processes. At a crash it keeps of what was not flushed some part, torn at any byte, as the port's obligations allow. */
export class SimDisk {
  readonly #timeline: Timeline
  readonly #random: SeededRandom
  readonly #conditions: DiskConditions
  #names = new Map<string, FileNode>()
  #namesDurable = new Map<string, FileNode>()
  #unsyncedNames: NameChange[] = []
  #mounted: MountedDisk | null = null
  #slowUntil = 0
  #slowMs = 0
  /** Changes until the machine dies; negative: it does not. */
  #dieAfter = -1
  #die: (() => void) | null = null
  #hangUntil = 0
  #fullUntil = 0
  #failNext: DiskOperation | null = null
  /** Reads until one is misdirected; negative: none is. */
  #misreadAfter = -1
  #rot: Rot | null = null
  /** What the disk has done to the process that has it mounted. */
  #hasFailed = false
  #hasMisread = false
  #hasRotted = false

  constructor(timeline: Timeline, random: SeededRandom, conditions: DiskConditions) {
    this.#timeline = timeline
    this.#random = random
    this.#conditions = conditions
  }

  /** For one process. */
  mount(): Disk {
    this.#mounted = new MountedDisk(this)
    this.#hasFailed = false
    this.#hasMisread = false
    this.#hasRotted = this.#rot !== null
    return this.#mounted
  }

  /** How long the flush that begins now will take. */
  flushMs(): number {
    const { flushLow, flushHigh, slowChance, slowMs } = this.#conditions
    let ms = this.#random.span(flushLow, flushHigh)
    if (slowChance > 0 && this.#random.chance(slowChance)) ms += this.#random.span(0, slowMs)
    if (this.#timeline.now < this.#slowUntil) ms += this.#random.span(0, this.#slowMs)
    return this.#timeline.now < this.#hangUntil ? ms + this.#hangUntil - this.#timeline.now : ms
  }

  slowUntil(time: number, byMs: number): void {
    this.#slowUntil = time
    this.#slowMs = byMs
  }

  /** No flush that begins before then ends before then. */
  hangUntil(time: number): void {
    this.#hangUntil = time
  }

  /** No flush ends any more. */
  hang(): void {
    this.hangUntil(this.#timeline.now + HANG_MS)
  }

  /** Until then files do not grow. */
  fullUntil(time: number): void {
    this.#fullUntil = time
  }

  /** The next operation of this kind fails; a sync only when there is something to make durable. */
  failNext(operation: DiskOperation): void {
    this.#failNext = operation
  }

  /** A read after `reads` others gives what stands in another place. */
  misreadAfter(reads: number): void {
    this.#misreadAfter = reads
  }

  /** Changes a bit somewhere in a file; false when there is none. To be called while no process is there. */
  decay(): boolean {
    // A store that was closed over a failing disk need not be sealed: what it wrote last may then be taken for torn (seed 502695).
    return !this.#hasFailed && this.#decay((node) => node.size)
  }

  /**
   * The same while a process works on it: a bit of a log that was flushed and that something flushed follows, for only there rot can be told from tearing; or any bit of a snapshot,
   * which is whole when it has its name.
   */
  decayBehind(): boolean {
    return this.#decay((node, name) => (SNAPSHOT_NAME.test(name) ? node.sizeDurable : Math.min(...node.frontier)))
  }

  #decay(limitOf: (node: FileNode, name: string) => number): boolean {
    const found = [...this.#names].map(([name, node]) => ({ node, limit: limitOf(node, name) })).filter(({ limit }) => limit > 0)
    if (found.length === 0 || this.#rot !== null) return false
    const { node, limit } = this.#random.pick(found)
    const rot: Rot = { node, at: this.#random.below(limit), mask: 1 << this.#random.below(8) }
    node.bytes[rot.at]! ^= rot.mask
    this.#rot = rot
    this.#hasRotted = true
    return true
  }

  /** The byte is again what it was. */
  restore(): void {
    if (this.#rot === null) return
    const { node, at, mask } = this.#rot
    node.bytes[at]! ^= mask
    this.#rot = null
  }

  /** May the process that has it mounted stop with this error? What it met may be whole again by the time that it tells. */
  excuses(code: string): boolean {
    if (code === 'DISK_FULL' || code === 'DISK_FAILED') return this.#hasFailed
    return (this.#hasRotted || this.#hasMisread) && (code === 'CORRUPT' || code === 'DIVERGED')
  }

  /** A new disk takes the place of this one. */
  wipe(): void {
    this.calm()
    this.#names = new Map()
    this.#namesDurable = new Map()
    this.#unsyncedNames = []
  }

  calm(): void {
    this.#slowUntil = 0
    this.#hangUntil = 0
    this.#fullUntil = 0
    this.#failNext = null
    this.#misreadAfter = -1
    this.restore()
    Object.assign(this.#conditions, { flushHigh: Math.min(3, this.#conditions.flushHigh), slowChance: 0 })
    this.#dieAfter = -1
    this.#die = null
  }

  /** The machine dies `changes` changes from now, in the midst of whatever makes them. */
  failAfter(changes: number, die: () => void): void {
    this.#dieAfter = changes
    this.#die = die
  }

  /** What was to die with it is another machine's affair: it goes to another member. */
  movesOn(): void {
    this.#dieAfter = -1
    this.#die = null
  }

  /** The process is gone and the machine with it. */
  crash(): void {
    this.#mounted?.unmount()
    this.#mounted = null
    this.#dieAfter = -1
    this.#die = null
    const survival = this.#random.pick<Survival>(['none', 'all', 'prefix', 'any', 'any'])
    const nodes = new Set([
      ...this.#names.values(),
      ...this.#namesDurable.values(),
      ...this.#unsyncedNames.flatMap((change) => change.flatMap(([, node]) => node ?? [])),
    ])
    for (const node of nodes) this.#crashFile(node, survival)
    const names = this.#namesDurable
    const changes = this.#unsyncedNames
    const kept = survival === 'prefix' ? this.#random.below(changes.length + 1) : changes.length
    changes.slice(0, kept).forEach((change) => {
      if (survival === 'none' || (survival === 'any' && this.#random.chance(0.5))) return
      rename(names, change)
    })
    this.#unsyncedNames = []
    this.#names = new Map(names)
  }

  /** The process has ended, the machine goes on: nothing is lost. */
  unmount(): void {
    this.#mounted?.unmount()
    this.#mounted = null
  }

  // For the mounted disk.

  /** @throws EIO when `operation` is the one that is to fail. */
  fail(operation: DiskOperation): void {
    if (this.#failNext !== operation) return
    this.#failNext = null
    this.#hasFailed = true
    throw failure('EIO', `${operation} failed`)
  }

  /** The place that a read at `offset` of `node` reads. */
  placeOfRead(node: FileNode, offset: number): { readonly node: FileNode; readonly offset: number } {
    if (this.#misreadAfter < 0 || this.#misreadAfter-- > 0) return { node, offset }
    this.#hasMisread = true
    const others = [...this.#names.values()].filter((other) => other !== node)
    if (others.length > 0 && this.#random.chance(0.5)) return { node: this.#random.pick(others), offset }
    return { node, offset: SECTOR * this.#random.below(Math.ceil(Math.max(1, node.size) / SECTOR)) }
  }

  list(): readonly string[] {
    return [...this.#names.keys()]
  }

  find(name: string): FileNode | undefined {
    return this.#names.get(name)
  }

  create(name: string): FileNode {
    this.#changing()
    const node: FileNode = { bytes: NOTHING, size: 0, sizeDurable: 0, unsynced: [], givenUp: 0, frontier: [0] }
    this.#rename([[name, node]])
    return node
  }

  write(node: FileNode, bytes: Uint8Array, offset: number): void {
    this.#changing()
    const end = offset + bytes.length
    if (end > node.size && this.#timeline.now < this.#fullUntil) {
      this.#hasFailed = true
      throw failure('ENOSPC', 'no space is left')
    }
    if (end > node.bytes.length) {
      const grown = new Uint8Array(Math.max(end, node.bytes.length * 2, SECTOR))
      grown.set(node.bytes)
      node.bytes = grown
    }
    // What is written over is no rot any more.
    if (this.#rot?.node === node && this.#rot.at >= offset && this.#rot.at < end) this.restore()
    const before = offset < node.sizeDurable ? node.bytes.slice(offset, Math.min(end, node.sizeDurable)) : NOTHING
    node.unsynced.push({ offset, length: bytes.length, before })
    node.bytes.set(bytes, offset)
    if (end > node.size) node.size = end
  }

  sync(node: FileNode): void {
    this.#changing()
    if (this.#failNext === 'sync' && node.unsynced.length > 0) {
      node.givenUp = node.unsynced.length
      this.fail('sync')
    }
    if (node.unsynced.length > node.givenUp) this.#advance(node)
    node.unsynced.length = node.givenUp
    if (node.givenUp === 0) node.sizeDurable = node.size
  }

  rename(from: string, to: string, node: FileNode): void {
    this.#changing()
    this.#rename([
      [from, null],
      [to, node],
    ])
  }

  remove(name: string): void {
    this.#changing()
    this.#rename([[name, null]])
  }

  syncDirectory(): void {
    this.#changing()
    for (const change of this.#unsyncedNames) rename(this.#namesDurable, change)
    this.#unsyncedNames = []
  }

  #advance(node: FileNode): void {
    let first = Number.POSITIVE_INFINITY
    for (const { offset } of node.unsynced) if (offset < first) first = offset
    if (node.frontier.push(first) > FRONTIERS) node.frontier.shift()
  }

  #rename(change: NameChange): void {
    rename(this.#names, change)
    this.#unsyncedNames.push(change)
  }

  #changing(): void {
    if (this.#dieAfter < 0 || this.#dieAfter-- > 0) return
    const die = this.#die!
    this.#die = null
    die()
    throw new Error('the machine died')
  }

  /** Takes the unsynced writes back, newest first, and makes those parts of them again that survive, oldest first. */
  #crashFile(node: FileNode, survival: Survival): void {
    if (node.unsynced.length === 0) return
    const random = this.#random
    const writes: { readonly offset: number; readonly bytes: Uint8Array }[] = []
    for (const { offset, length, before } of node.unsynced.reverse()) {
      writes.unshift({ offset, bytes: node.bytes.slice(offset, offset + length) })
      node.bytes.fill(0, offset, offset + length)
      node.bytes.set(before, offset)
    }
    // What was given up is gone for good.
    writes.splice(0, node.givenUp)
    node.unsynced = []
    node.givenUp = 0
    node.size = node.sizeDurable
    const kept = survival === 'prefix' ? random.below(writes.length + 1) : writes.length
    writes.slice(0, kept).forEach(({ offset, bytes }, i) => {
      if (survival === 'none') return
      // The last write of a prefix is torn.
      const all = survival === 'all' || (survival === 'prefix' && i < kept - 1)
      let at = 0
      while (at < bytes.length) {
        const end = Math.min(bytes.length, random.chance(0.1) ? at + random.between(1, SECTOR) : (Math.floor((offset + at) / SECTOR) + 1) * SECTOR - offset)
        if (all || random.chance(0.6)) {
          node.bytes.set(bytes.subarray(at, end), offset + at)
          node.size = Math.max(node.size, offset + end)
        }
        at = end
      }
    })
    node.sizeDurable = node.size
  }
}

function rename(names: Map<string, FileNode>, change: NameChange): void {
  for (const [name, node] of change) {
    if (node === null) names.delete(name)
    else names.set(name, node)
  }
}

function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

/** The port, for one process: dead with it. */
class MountedDisk implements Disk {
  readonly #disk: SimDisk
  readonly #files = new Map<FileHandle, { readonly node: FileNode; readonly writable: boolean }>()
  #handles = 0
  #mounted = true

  constructor(disk: SimDisk) {
    this.#disk = disk
  }

  unmount(): void {
    this.#mounted = false
    this.#files.clear()
  }

  list(): readonly string[] {
    return this.#live().list()
  }

  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    const disk = this.#live()
    disk.fail('open')
    const found = disk.find(name)
    if (mode === 'create' && found !== undefined) throw failure('EEXIST', name)
    if (mode !== 'create' && found === undefined) throw failure('ENOENT', name)
    const file = ++this.#handles
    this.#files.set(file, { node: found ?? disk.create(name), writable: mode !== 'read' })
    return file
  }

  close(file: FileHandle): void {
    this.#files.delete(file)
  }

  size(file: FileHandle): number {
    return this.#node(file).size
  }

  read(file: FileHandle, into: Uint8Array, offset: number): number {
    const node = this.#node(file)
    const disk = this.#live()
    disk.fail('read')
    const length = Math.max(0, Math.min(node.size - offset, into.length))
    const place = disk.placeOfRead(node, offset)
    if (place.node === node && place.offset === offset) into.set(node.bytes.subarray(offset, offset + length))
    else {
      into.fill(0, 0, length)
      into.set(place.node.bytes.subarray(place.offset, Math.min(place.node.size, place.offset + length)))
    }
    return length
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    const node = this.#node(file)
    if (!this.#files.get(file)!.writable) throw failure('EBADF', 'opened for reading')
    const disk = this.#live()
    disk.fail('write')
    disk.write(node, bytes, offset)
  }

  sync(file: FileHandle): void {
    this.#live().sync(this.#node(file))
  }

  rename(from: string, to: string): void {
    const disk = this.#live()
    const node = disk.find(from)
    if (node === undefined) throw failure('ENOENT', from)
    disk.fail('rename')
    disk.rename(from, to, node)
  }

  remove(name: string): void {
    const disk = this.#live()
    if (disk.find(name) === undefined) throw failure('ENOENT', name)
    disk.fail('remove')
    disk.remove(name)
  }

  syncDirectory(): void {
    const disk = this.#live()
    disk.fail('syncDirectory')
    disk.syncDirectory()
  }

  #live(): SimDisk {
    if (!this.#mounted) throw failure('EIO', 'the process is dead')
    return this.#disk
  }

  #node(file: FileHandle): FileNode {
    this.#live()
    const open = this.#files.get(file)
    if (open === undefined) throw failure('EBADF', `handle ${file}`)
    return open.node
  }
}
