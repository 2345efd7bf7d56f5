import { expect, test } from 'vitest'
import { MemoryFolder } from './memory-folder.ts'
import { type Fate, Platter } from './platter.ts'
import { RecordedDisk } from './recorded-disk.ts'

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes)
const bytes = (what: string): Uint8Array => new TextEncoder().encode(what)

/** What is left of a disk on which `body` has worked. */
function left(body: (disk: RecordedDisk) => void, fate: Fate, files: ReadonlyMap<string, Uint8Array> = new Map()): Record<string, string | undefined> {
  const disk = new RecordedDisk(new MemoryFolder(files), files)
  body(disk)
  const platter = new Platter(files)
  for (const operation of disk.operations) platter.apply(operation)
  return Object.fromEntries([...platter.after(fate)].map(([name, content]) => [name, text(content)]))
}

function unsynchronised(disk: RecordedDisk): void {
  const file = disk.open('a', 'create')
  disk.write(file, bytes('one'), 0)
  disk.sync(file)
  disk.syncDirectory()
  disk.write(file, bytes('two'), 3)
  disk.close(disk.open('b', 'create'))
  disk.rename('b', 'c')
}

test('what was synchronised stays, and of the rest what the fate says', () => {
  expect(left(unsynchronised, 'lost')).toEqual({ a: 'one' })
  expect(left(unsynchronised, 'kept')).toEqual({ a: 'onetwo', c: '' })
  const seen = new Set(Array.from({ length: 200 }, (_, seed) => JSON.stringify(left(unsynchronised, seed))))
  for (const some of [{ a: 'one' }, { a: 'onet' }, { a: 'one\0\0\0' }, { a: 'onetwo', b: '' }, { a: 'one', c: '' }])
    expect(seen).toContain(JSON.stringify(some))
  for (const some of seen) expect(JSON.parse(some).a.slice(0, 3)).toBe('one')
})

test('a file that is synchronised has no name before its folder is', () => {
  const nameless = (disk: RecordedDisk): void => {
    const file = disk.open('a', 'create')
    disk.write(file, bytes('one'), 0)
    disk.sync(file)
  }
  expect(left(nameless, 'lost')).toEqual({})
  expect(left(nameless, 'kept')).toEqual({ a: 'one' })
})

test('a file that takes the place of another does so whole; the old one is there until the folder is synchronised', () => {
  const replace = (disk: RecordedDisk): void => {
    const file = disk.open('a.new', 'create')
    disk.write(file, bytes('new'), 0)
    disk.sync(file)
    disk.rename('a.new', 'a')
  }
  const files = new Map([['a', bytes('old')]])
  expect(left(replace, 'lost', files)).toEqual({ a: 'old' })
  expect(left(replace, 'kept', files)).toEqual({ a: 'new' })
})

test('what was written before a flush that failed is not made durable by the next one', () => {
  const again = (disk: RecordedDisk): void => {
    const file = disk.open('a', 'write')
    disk.write(file, bytes('new'), 0)
    disk.fail(1, 'EIO')
    expect(() => disk.sync(file)).toThrow('EIO')
    disk.sync(file)
    disk.write(file, bytes('er'), 3)
    disk.sync(file)
  }
  const files = new Map([['a', bytes('old')]])
  expect(left(again, 'lost', files)).toEqual({ a: 'older' })
  expect(left(again, 'kept', files)).toEqual({ a: 'newer' })
})

test('ENOSPC meets what needs room, EIO every call, each of them once; of a write a part is done', () => {
  const files = new Map([['a', bytes('old')]])
  const disk = new RecordedDisk(new MemoryFolder(files), files)
  disk.fail(1, 'ENOSPC')
  const file = disk.open('a', 'write')
  expect(disk.size(file)).toBe(3)
  expect(disk.failed).toBe(false)
  expect(() => disk.write(file, bytes('news'), 0)).toThrow('ENOSPC')
  expect(disk.failed).toBe(true)
  const found = new Uint8Array(3)
  disk.read(file, found, 0)
  expect(text(found)).toBe('ned')
  disk.fail(2, 'EIO')
  disk.list()
  expect(() => disk.read(file, found, 0)).toThrow('EIO')
  disk.read(file, found, 0)
})
