/**
 * Bytes of nodes (name and data together) in pages, by size class: a page holds blocks of one size, the blocks that are free are linked through their own memory, and a page whose blocks are all free
 * goes back, so that a tree whose data changes in size does not keep what it no longer needs. What is larger than the largest class has a page of its own, exactly as large.
 */
export type Block = number
export const NO_BLOCK = -1

const UNIT_SHIFT = 3
const UNIT = 2 ** UNIT_SHIFT
const PAGE_BYTES_MAX = 64 * 1024
const PAGE_BYTES_MIN = 1024
const BLOCKS_OF_FIRST_PAGE = 8
/** A block's number: its page, and its first unit in it. */
const PAGE_SHIFT = 13
const UNIT_MASK = 2 ** PAGE_SHIFT - 1
/** A block's number is 32 bits, signed as the records keep it; the very last one is NO_BLOCK. */
const PAGES_MAX = 2 ** (32 - PAGE_SHIFT) - 1
const CLASS_BYTES_MAX = 8192
/** Between two powers of two there are eight classes: less than an eighth of a block is waste. */
const CLASSES = classSizes()
const CLASS_OF_UNITS = classesOfUnits()
const OWN_PAGE = -1
const NONE = -1
/** Whole pages kept for the next class that needs one. */
const SPARE_PAGES_MAX = 16

function classSizes(): number[] {
  const sizes: number[] = []
  for (let size = UNIT; size <= 128; size += UNIT) sizes.push(size)
  for (let power = 128; power < CLASS_BYTES_MAX; power *= 2) for (let eighth = 1; eighth <= 8; eighth++) sizes.push(power + (power / 8) * eighth)
  return sizes
}

function classesOfUnits(): Uint8Array {
  const classes = new Uint8Array(CLASS_BYTES_MAX / UNIT + 1)
  for (let units = 0, index = 0; units < classes.length; units++) {
    if (units * UNIT > CLASSES[index]!) index++
    classes[units] = index
  }
  return classes
}

interface Page {
  bytes: Uint8Array
  sizeClass: number
  /** Of one block. */
  readonly blockUnits: number
  readonly blocks: number
  used: number
  /** Blocks handed out at least once. */
  begun: number
  /** First free block, by its first unit; the next one's stands in its first two bytes. */
  free: number
  /** Pages of this class that have room, in both directions. */
  next: number
  previous: number
}

export class Arena {
  /** By `pageOf(block)`; the block begins at `offsetOf(block)`. */
  readonly bytes: Uint8Array[] = []
  /** What `bytes` lie in: to make a view of it is dearer by way of them. */
  readonly buffers: ArrayBufferLike[] = []
  /** Blocks in use. */
  blocks = 0
  readonly #pages: (Page | null)[] = []
  readonly #freeNumbers: number[] = []
  readonly #roomy = new Int32Array(CLASSES.length).fill(NONE)
  /** Pages of each class. */
  readonly #counts = new Int32Array(CLASSES.length)
  readonly #spare: Uint8Array[] = []

  allocate(length: number): Block {
    if (length === 0) return NO_BLOCK
    this.blocks++
    if (length > CLASS_BYTES_MAX) return this.#add(new Uint8Array(length), OWN_PAGE, length) << PAGE_SHIFT
    const sizeClass = CLASS_OF_UNITS[(length + UNIT - 1) >>> UNIT_SHIFT]!
    let number = this.#roomy[sizeClass]!
    if (number === NONE) {
      number = this.#add(this.#memory(sizeClass), sizeClass, CLASSES[sizeClass]!)
      this.#link(number)
    }
    const page = this.#pages[number]!
    let unit = page.free
    if (unit === NONE) unit = page.begun++ * page.blockUnits
    else {
      const at = unit << UNIT_SHIFT
      const next = (page.bytes[at]! << 8) | page.bytes[at + 1]!
      page.free = next === UNIT_MASK ? NONE : next
    }
    page.used++
    if (page.used === page.blocks) this.#unlink(number)
    return (number << PAGE_SHIFT) | unit
  }

  release(block: Block): void {
    if (block === NO_BLOCK) return
    this.blocks--
    const number = pageOf(block)
    const page = this.#pages[number]!
    if (page.sizeClass === OWN_PAGE) return this.#drop(number)
    if (page.used === page.blocks) this.#link(number)
    page.used--
    const unit = block & UNIT_MASK
    const at = unit << UNIT_SHIFT
    const next = page.free === NONE ? UNIT_MASK : page.free
    page.bytes[at] = next >>> 8
    page.bytes[at + 1] = next
    page.free = unit
    // The last page of a class stays, or one node that comes and goes would make and drop a page each time.
    if (page.used === 0 && this.#counts[page.sizeClass]! > 1) {
      this.#unlink(number)
      if (page.bytes.length === PAGE_BYTES_MAX && this.#spare.length < SPARE_PAGES_MAX) this.#spare.push(page.bytes)
      this.#drop(number)
    }
  }

  /** Could a block of `length` bytes stand where `block` stands, and waste no more than a new one would? */
  fits(block: Block, length: number): boolean {
    if (block === NO_BLOCK || length > CLASS_BYTES_MAX)
      return block === NO_BLOCK ? length === 0 : this.bytes[pageOf(block)]!.length === length && this.#pages[pageOf(block)]!.sizeClass === OWN_PAGE
    return length > 0 && this.#pages[pageOf(block)]!.sizeClass === CLASS_OF_UNITS[(length + UNIT - 1) >>> UNIT_SHIFT]!
  }

  #memory(sizeClass: number): Uint8Array {
    const bytes = Math.max(PAGE_BYTES_MIN, CLASSES[sizeClass]! * BLOCKS_OF_FIRST_PAGE) * 2 ** this.#counts[sizeClass]!
    if (bytes < PAGE_BYTES_MAX) return new Uint8Array(bytes)
    return this.#spare.pop() ?? new Uint8Array(PAGE_BYTES_MAX)
  }

  #add(bytes: Uint8Array, sizeClass: number, blockBytes: number): number {
    const number = this.#freeNumbers.pop() ?? this.#pages.length
    if (number >= PAGES_MAX) throw new RangeError('a tree has more than 524,287 pages: 32 GiB, or so many nodes above 8 KiB')
    const blocks = sizeClass === OWN_PAGE ? 1 : Math.floor(bytes.length / blockBytes)
    this.bytes[number] = bytes
    this.buffers[number] = bytes.buffer
    this.#pages[number] = { bytes, sizeClass, blockUnits: blockBytes >>> UNIT_SHIFT, blocks, used: 0, begun: 0, free: NONE, next: NONE, previous: NONE }
    if (sizeClass !== OWN_PAGE) this.#counts[sizeClass]!++
    return number
  }

  #drop(number: number): void {
    const { sizeClass } = this.#pages[number]!
    if (sizeClass !== OWN_PAGE) this.#counts[sizeClass]!--
    this.#pages[number] = null
    this.bytes[number] = NOTHING
    this.buffers[number] = NOTHING.buffer
    this.#freeNumbers.push(number)
  }

  #link(number: number): void {
    const page = this.#pages[number]!
    const first = this.#roomy[page.sizeClass]!
    page.next = first
    page.previous = NONE
    if (first !== NONE) this.#pages[first]!.previous = number
    this.#roomy[page.sizeClass] = number
  }

  #unlink(number: number): void {
    const page = this.#pages[number]!
    if (page.next !== NONE) this.#pages[page.next]!.previous = page.previous
    if (page.previous === NONE) this.#roomy[page.sizeClass] = page.next
    else this.#pages[page.previous]!.next = page.next
  }
}

const NOTHING = new Uint8Array(0)

export function pageOf(block: Block): number {
  return block >>> PAGE_SHIFT
}

export function offsetOf(block: Block): number {
  return (block & UNIT_MASK) << UNIT_SHIFT
}
