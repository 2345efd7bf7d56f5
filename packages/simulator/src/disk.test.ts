import { expect, test } from 'vitest'
import { SimDisk } from './disk.ts'
import { SeededRandom } from './random.ts'
import { Timeline } from './timeline.ts'

const calm = { flushLow: 1, flushHigh: 1, slowChance: 0, slowMs: 0 }
const makeDisk = (seed: number): SimDisk => new SimDisk(new Timeline(), new SeededRandom(seed), { ...calm })
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

function content(disk: SimDisk, name: string): Uint8Array | null {
  const mounted = disk.mount()
  if (!mounted.list().includes(name)) return null
  const file = mounted.open(name, 'read')
  const bytes = new Uint8Array(mounted.size(file))
  mounted.read(file, bytes, 0)
  return bytes
}

test('what was synced, name and content, survives every crash', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const disk = makeDisk(seed)
    const mounted = disk.mount()
    const file = mounted.open('log', 'create')
    mounted.write(file, filled(3000, 7), 0)
    mounted.sync(file)
    mounted.syncDirectory()
    mounted.write(file, filled(2000, 8), 2500)
    disk.crash()
    const bytes = content(disk, 'log')!
    expect(bytes.subarray(0, 2500).every((byte) => byte === 7)).toBe(true)
    expect(bytes.length).toBeGreaterThanOrEqual(3000)
    expect(bytes.length).toBeLessThanOrEqual(4500)
  }
})

test('of what was not synced anything may survive: all, nothing, a torn part, a later write without an earlier one', () => {
  const seen = { all: 0, nothing: 0, torn: 0, reordered: 0 }
  for (let seed = 1; seed <= 400; seed++) {
    const disk = makeDisk(seed)
    const mounted = disk.mount()
    const file = mounted.open('log', 'create')
    mounted.write(file, filled(4096, 1), 0)
    mounted.sync(file)
    mounted.syncDirectory()
    mounted.write(file, filled(1024, 2), 0)
    mounted.write(file, filled(1024, 3), 2048)
    disk.crash()
    const bytes = content(disk, 'log')!
    const first = bytes.subarray(0, 1024).filter((byte) => byte === 2).length
    const second = bytes.subarray(2048, 3072).filter((byte) => byte === 3).length
    if (first === 1024 && second === 1024) seen.all++
    if (first === 0 && second === 0) seen.nothing++
    if ((first > 0 && first < 1024) || (second > 0 && second < 1024)) seen.torn++
    if (first === 0 && second > 0) seen.reordered++
    expect(bytes.length).toBe(4096)
    expect(bytes.subarray(1024, 2048).every((byte) => byte === 1)).toBe(true)
  }
  for (const times of Object.values(seen)) expect(times).toBeGreaterThan(10)
})

test('a name that was not synced may be lost, and one that was removed may be there again', () => {
  const seen = { created: 0, removed: 0, renamed: 0 }
  for (let seed = 1; seed <= 200; seed++) {
    const disk = makeDisk(seed)
    const mounted = disk.mount()
    for (const name of ['a', 'b.new']) mounted.sync(mounted.open(name, 'create'))
    mounted.syncDirectory()
    mounted.open('c', 'create')
    mounted.remove('a')
    mounted.rename('b.new', 'b')
    disk.crash()
    const names = disk.mount().list()
    if (names.includes('c')) seen.created++
    if (names.includes('a')) seen.removed++
    if (names.includes('b')) seen.renamed++
    expect(names.includes('b')).not.toBe(names.includes('b.new'))
  }
  for (const times of Object.values(seen)) {
    expect(times).toBeGreaterThan(20)
    expect(times).toBeLessThan(180)
  }
})

test('the machine dies in the midst of what it does, and a dead process changes nothing any more', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('log', 'create')
  mounted.write(file, filled(10, 1), 0)
  mounted.sync(file)
  mounted.syncDirectory()
  disk.failAfter(1, () => disk.crash())
  mounted.write(file, filled(10, 2), 0)
  expect(() => mounted.sync(file)).toThrow('the machine died')
  expect(() => mounted.write(file, filled(10, 3), 0)).toThrow('dead')
  expect(content(disk, 'log')).not.toContain(3)
})

test('an orderly end loses nothing', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  mounted.write(mounted.open('log', 'create'), filled(10, 1), 0)
  disk.unmount()
  expect(content(disk, 'log')).toEqual(filled(10, 1))
})

test('errors carry the codes of node:fs', () => {
  const mounted = makeDisk(1).mount()
  const file = mounted.open('log', 'create')
  expect(() => mounted.open('log', 'create')).toThrow(expect.objectContaining({ code: 'EEXIST' }))
  expect(() => mounted.open('other', 'read')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  mounted.close(file)
  expect(() => mounted.sync(file)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})

test('what a failed sync has given up can be read, and is gone when the machine dies, whatever was synced later', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const disk = makeDisk(seed)
    const mounted = disk.mount()
    const file = mounted.open('log', 'create')
    mounted.write(file, filled(600, 1), 0)
    mounted.sync(file)
    mounted.syncDirectory()
    mounted.write(file, filled(600, 2), 600)
    disk.failNext('sync')
    expect(() => mounted.sync(file)).toThrow('EIO')
    expect(disk.excuses('DISK_FAILED')).toBe(true)
    disk.unmount()
    expect(content(disk, 'log')!.subarray(600)).toEqual(filled(600, 2))
    expect(disk.excuses('DISK_FAILED')).toBe(false)
    const again = disk.mount()
    again.sync(again.open('log', 'write'))
    disk.crash()
    expect(content(disk, 'log')).toEqual(filled(600, 1))
  }
})

test('a full disk takes what does not make a file grow', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('log', 'create')
  mounted.write(file, filled(100, 1), 0)
  disk.fullUntil(1000)
  mounted.write(file, filled(50, 2), 50)
  expect(disk.excuses('DISK_FULL')).toBe(false)
  expect(() => mounted.write(file, filled(51, 2), 50)).toThrow('ENOSPC')
  expect(disk.excuses('DISK_FULL')).toBe(true)
  disk.calm()
  mounted.write(file, filled(51, 2), 50)
  expect(mounted.size(file)).toBe(101)
})

test('rot changes one bit, until it is undone; a wiped disk is empty', () => {
  const disk = makeDisk(1)
  expect(disk.decay()).toBe(false)
  const mounted = disk.mount()
  mounted.write(mounted.open('log', 'create'), filled(100, 0), 0)
  disk.unmount()
  expect(disk.decay()).toBe(true)
  expect(disk.excuses('CORRUPT')).toBe(true)
  const changed = content(disk, 'log')!.filter((byte) => byte !== 0)
  expect(changed).toHaveLength(1)
  expect(Math.log2(changed[0]!) % 1).toBe(0)
  disk.restore()
  expect(content(disk, 'log')).toEqual(filled(100, 0))
  expect(disk.excuses('CORRUPT')).toBe(false)
  disk.wipe()
  expect(content(disk, 'log')).toBeNull()
})

test('a flush that begins while the disk hangs does not end before it goes on', () => {
  const disk = makeDisk(1)
  disk.hangUntil(500)
  expect(disk.flushMs()).toBeGreaterThanOrEqual(500)
  disk.calm()
  expect(disk.flushMs()).toBeLessThan(10)
})

test('one operation fails, once; the process may stop by that, and the next one may not', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('log', 'create')
  disk.failNext('write')
  mounted.sync(file)
  expect(() => mounted.write(file, filled(10, 1), 0)).toThrow('EIO')
  mounted.write(file, filled(10, 1), 0)
  expect(disk.excuses('DISK_FAILED')).toBe(true)
  disk.mount()
  expect(disk.excuses('DISK_FAILED')).toBe(false)
})

test('a misdirected read gives as many bytes as asked for, of another place, once', () => {
  let astray = 0
  for (let seed = 1; seed <= 20; seed++) {
    const disk = makeDisk(seed)
    const mounted = disk.mount()
    const [one, two] = ['one', 'two'].map((name) => mounted.open(name, 'create'))
    mounted.write(one!, filled(512, 1), 0)
    mounted.write(one!, filled(512, 2), 512)
    mounted.write(two!, filled(100, 3), 0)
    disk.misreadAfter(1)
    const reads = [1, 2, 3].map(() => {
      const bytes = new Uint8Array(200)
      expect(mounted.read(one!, bytes, 0)).toBe(200)
      return bytes
    })
    expect([reads[0], reads[2]]).toEqual([filled(200, 1), filled(200, 1)])
    if (reads[1]![0] !== 1) astray++
    expect(disk.excuses('CORRUPT')).toBe(true)
  }
  expect(astray).toBeGreaterThan(5)
})

test('rot behind what a process wrote last is before every one of its last flushes, and is gone where it writes again', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('log', 'create')
  for (let flush = 0; flush < 6; flush++) {
    expect(disk.decayBehind()).toBe(false)
    mounted.write(file, filled(100, 0), flush * 100)
    mounted.sync(file)
  }
  expect(disk.decayBehind()).toBe(true)
  const at = content(disk, 'log')!.findIndex((byte) => byte !== 0)
  expect(at).toBeGreaterThanOrEqual(0)
  expect(at).toBeLessThan(200)
  const again = disk.mount()
  again.write(again.open('log', 'write'), filled(1, 0), at)
  // The process may have met it before (seed 200604).
  expect(disk.excuses('CORRUPT')).toBe(true)
  disk.mount()
  expect(disk.excuses('CORRUPT')).toBe(false)
  disk.restore()
  expect(content(disk, 'log')).toEqual(filled(600, 0))
})

test('rot behind what a process wrote last may be anywhere in a snapshot that has its name, and in none that is being written', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('snapshot-00000001-0000000100000007.new', 'create')
  mounted.write(file, filled(100, 0), 0)
  mounted.sync(file)
  expect(disk.decayBehind()).toBe(false)
  mounted.rename('snapshot-00000001-0000000100000007.new', 'snapshot-00000001-0000000100000007')
  expect(disk.decayBehind()).toBe(true)
  expect(content(disk, 'snapshot-00000001-0000000100000007')!.filter((byte) => byte !== 0)).toHaveLength(1)
  disk.restore()
  expect(content(disk, 'snapshot-00000001-0000000100000007')).toEqual(filled(100, 0))
})

test('the disk of a process that it has failed does not rot until the next one has closed in order', () => {
  const disk = makeDisk(1)
  const mounted = disk.mount()
  const file = mounted.open('log', 'create')
  mounted.write(file, filled(100, 0), 0)
  disk.failNext('sync')
  expect(() => mounted.sync(file)).toThrow('EIO')
  disk.unmount()
  expect(disk.decay()).toBe(false)
  disk.mount()
  disk.unmount()
  expect(disk.decay()).toBe(true)
})
