import { AntiphonError, crc32 } from '@antiphon/ports'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NodeTree } from '../data-tree.ts'
import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { create, Stage } from '../machine.test-support.ts'
import { znodeTree } from '../machine.ts'
import { Arena, type Block, NO_BLOCK, offsetOf, pageOf } from './arena.ts'
import { NodeStore } from './node-store.ts'
import { crcOfText } from './path-crc.ts'
import { PathIndex } from './path-index.ts'
import { chunkOf, PATH_CRC, Records, wordsAt } from './records.ts'

test('the path index finds all records of a CRC, as it grows and shrinks, but for those that it refuses because very many meet', () => {
  // Few CRCs, and such as differ in high bits alone: long chains, and buckets that are divided unevenly.
  let refused = 0
  const crc = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 200 }), fc.constantFrom(1 << 20, 1 << 30, -1, -0x80000000))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), crc), { maxLength: 600, size: 'max' }), (steps) => {
      const records = new Records()
      const index = new PathIndex(records)
      const expected = new Map<number, Set<NodeIndex>>()
      for (const [kind, key] of steps) {
        const here = expected.get(key) ?? new Set()
        expected.set(key, here)
        if (kind > 0) {
          const record = records.allocate()
          records.words[chunkOf(record)]![wordsAt(record) + PATH_CRC] = key
          if (index.add(record)) here.add(record)
          else {
            refused++
            expect(records.count).toBeGreaterThan(32)
            expect(index.remove(record)).toBe(false)
            records.release(record)
          }
        } else if (here.size > 0) {
          const record = [...here][Math.floor(here.size / 2)]!
          expect(index.remove(record)).toBe(true)
          records.release(record)
          here.delete(record)
        }
      }
      for (const [key, here] of expected) {
        const found: NodeIndex[] = []
        for (let record = index.candidate(key, NO_NODE); record !== NO_NODE; record = index.candidate(key, record)) found.push(record)
        expect(found.sort((a, b) => a - b)).toEqual([...here].sort((a, b) => a - b))
        expect(found.length).toBeLessThanOrEqual(32)
      }
    }),
    { numRuns: 100 },
  )
  expect(refused).toBeGreaterThan(0)
})

test('the path index grows by the records that are in it, not by those that came and went', () => {
  const records = new Records()
  const index = new PathIndex(records)
  const add = (crc: number): NodeIndex => {
    const record = records.allocate()
    records.words[chunkOf(record)]![wordsAt(record) + PATH_CRC] = crc
    expect(index.add(record)).toBe(true)
    return record
  }
  for (let crc = 0; crc < 1_000; crc++) {
    const record = add(crc)
    expect(index.remove(record)).toBe(true)
    records.release(record)
  }
  expect(index.size).toBe(64)
  for (let crc = 0; crc < 1_000; crc++) add(crc)
  expect(index.size).toBe(1_000)
})

test("a text's CRC is that of its UTF-8, from any place to any, continued from any", () => {
  const text = fc.string({
    unit: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('a', '/', '~') }, fc.constantFrom('\u00e9', '\u07ff', '\u0800', '\uffef')),
    maxLength: 40,
  })
  fc.assert(
    fc.property(text, fc.nat(40), fc.nat(40), fc.integer(), (whole, one, other, seed) => {
      const [start, end] = [Math.min(one, other, whole.length), Math.min(Math.max(one, other), whole.length)]
      expect(crcOfText(whole, seed, start, end) >>> 0).toBe(crc32(new TextEncoder().encode(whole.slice(start, end)), seed >>> 0))
    }),
    { numRuns: 500 },
  )
})

test('two paths with one CRC are two nodes', () => {
  const names = new Map<number, string>()
  let pair: [string, string] | null = null
  for (let i = 0; pair === null; i++) {
    const name = `/${(i * 0x9e3779b1).toString(36)}`
    const crc = crcOfText(name, 0, 0, name.length)
    const other = names.get(crc)
    if (other !== undefined) pair = [other, name]
    names.set(crc, name)
  }
  const tree = new NodeTree()
  const node = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 } as const
  tree.create({ ...node, path: pair[0] }, 1 as never, 1)
  expect(tree.find(pair[1])).toBe(NO_NODE)
  tree.create({ ...node, path: pair[1] }, 2 as never, 2)
  expect(pair.map((path) => tree.path(tree.find(path)))).toEqual(pair)
  tree.delete(tree.find(pair[0]), 3 as never)
  expect(tree.find(pair[0])).toBe(NO_NODE)
  expect(tree.path(tree.find(pair[1]))).toBe(pair[1])
})

/** Names of one length, below one parent, whose CRCs are all the same: a CRC is linear, and of 64 characters with a bit to choose each there are 2^32 ways to add up to nothing. */
function collidingNames(count: number): string[] {
  const base = 'a'.repeat(64)
  const crcOf = (name: string): number => crcOfText(name, 0, 0, name.length)
  const rows = Array.from(base, (_, at) => ({ effect: crcOf(flipped(base, 1n << BigInt(at))) ^ crcOf(base), bits: 1n << BigInt(at) }))
  const pivots: typeof rows = []
  const nothing: bigint[] = []
  for (const row of rows) {
    for (const pivot of pivots) {
      const top = 0x80000000 >>> Math.clz32(pivot.effect)
      if ((row.effect & top) === 0) continue
      row.effect ^= pivot.effect
      row.bits ^= pivot.bits
    }
    if (row.effect === 0) nothing.push(row.bits)
    else pivots.push(row)
  }
  return Array.from({ length: count }, (_, i) => {
    let bits = 0n
    for (const [at, way] of nothing.entries()) if (((i >>> at) & 1) === 1) bits ^= way
    return flipped(base, bits)
  })
}

function flipped(base: string, bits: bigint): string {
  return Array.from(base, (character, at) => (((bits >> BigInt(at)) & 1n) === 1n ? 'c' : character)).join('')
}

test('paths that were thought up to have one CRC are nodes like others, and a look-up walks along few of them', () => {
  const names = collidingNames(600)
  expect(new Set(names.map((name) => crcOfText(`/p/${name}`, 0, 0, 67))).size).toBe(1)
  expect(new Set(names).size).toBe(600)
  const node = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 } as const
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(599)), { maxLength: 1000, size: 'max' }), (steps) => {
      const tree = new NodeTree()
      tree.create({ ...node, path: '/p' }, 1 as never, 1)
      const there = new Set<string>()
      for (const [kind, pick] of steps) {
        // Below one parent, and below nodes that are crowded themselves.
        const above = `/p/${names[pick % 40]!}`
        const path = kind === 3 && there.has(above) ? `${above}/child` : `/p/${names[pick]!}`
        if (!there.has(path)) {
          expect(tree.find(path)).toBe(NO_NODE)
          expect(() => tree.delete(tree.create({ ...node, path }, 2 as never, 1), 3 as never)).not.toThrow()
          expect(tree.find(path)).toBe(NO_NODE)
          tree.create({ ...node, path }, 2 as never, 1)
          there.add(path)
        } else if (kind === 0 && !there.has(`${path}/child`)) {
          tree.delete(tree.find(path), 3 as never)
          there.delete(path)
        } else expect(() => tree.create({ ...node, path }, 2 as never, 1)).toThrow('there already')
      }
      for (const path of there) expect(tree.path(tree.find(path))).toBe(path)
      expect(names.filter((name) => tree.find(`/p/${name}`) !== NO_NODE).length).toBe([...there].filter((path) => !path.endsWith('/child')).length)
    }),
    { numRuns: 20 },
  )
})

test('crowded paths directly below the root are in a snapshot and in what is restored of it, like others', async () => {
  const names = collidingNames(100)
  const stage = new Stage()
  const holder = stage.open()
  for (const name of names) holder.write(create(`/${name}`))
  const machine = znodeTree()
  await machine.restore(
    stage.leader.reader.zxid,
    (async function* () {
      yield* stage.leader.snapshot()
    })(),
  )
  expect(machine.digest()).toBe(stage.leader.digest())
  for (const { reader } of [stage.leader, machine]) {
    expect(reader.children('/').filter((name) => name !== 'zookeeper')).toEqual(names)
    for (const name of names) expect(reader.exists(`/${name}`)).not.toBeNull()
  }
})

test('a node is found by its own name and by no other of the same length, however long and whatever its characters', () => {
  const unit = fc.constantFrom('a', 'b', 'z', '\u00e9', '\u00ff', '\u0161', '\u4161', '\u6100')
  const name = fc.string({ unit, minLength: 1, maxLength: 20 })
  const node = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 } as const
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 8 }), fc.nat(19), unit, (names, at, other) => {
      const tree = new NodeTree()
      const paths = names.flatMap((one) => [`/${one}`, `/${one}/${names[0]!}`])
      for (const [index, path] of paths.entries()) tree.create({ ...node, path }, (index + 1) as never, 1)
      for (const path of paths) {
        expect(tree.path(tree.find(path))).toBe(path)
        const changed = `/${path.slice(1, 1 + at)}${other}${path.slice(2 + at)}`
        if (!paths.includes(changed)) expect(tree.find(changed)).toBe(NO_NODE)
      }
    }),
    { numRuns: 200 },
  )
})

test('names whose characters would pack to the same word are told apart', () => {
  const store = new NodeStore()
  const root = store.add(NO_NODE, '', 0, 0, 0, new Uint8Array(0), 0, 0)
  const named = (name: string, crcOf: string): boolean => {
    const record = store.add(root, name, 0, name.length, 0, new Uint8Array(0), 0, 0)
    store.index.remove(record)
    store.setWord(record, PATH_CRC, store.childCrc(root, crcOf, 0, crcOf.length))
    store.index.add(record)
    return store.findChild(root, crcOf, 0, crcOf.length) === record
  }
  for (const name of ['a', 'abc', 'abcd', 'abcde', 'x'.repeat(16), 'x'.repeat(17), '\u00ff\u00e9ab']) {
    expect(named(name, name)).toBe(true)
    for (let at = 0; at < name.length; at++) {
      for (const wrong of [name.charCodeAt(at) ^ 1, name.charCodeAt(at) | 0x100, name.charCodeAt(at) | 0x6100]) {
        expect(named(name, name.slice(0, at) + String.fromCharCode(wrong) + name.slice(at + 1))).toBe(false)
      }
    }
  }
})

test('blocks of the arena do not overlap, and what is given back is used again', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 9000 }), fc.constantFrom(8, 128, 136, 8192, 8193, 100_000))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), length), { maxLength: 400, size: 'max' }), (steps) => {
      const arena = new Arena()
      const held: { block: Block; length: number; mark: number }[] = []
      for (const [index, [isRelease, wanted]] of steps.entries()) {
        if (isRelease && held.length > 0) {
          const [gone] = held.splice((index * 7) % held.length, 1)
          arena.release(gone!.block)
          continue
        }
        const block = arena.allocate(wanted)
        held.push({ block, length: wanted, mark: index % 251 })
        if (block !== NO_BLOCK) arena.bytes[pageOf(block)]!.fill(index % 251, offsetOf(block), offsetOf(block) + wanted)
        expect(arena.fits(block, wanted)).toBe(true)
      }
      for (const { block, length: held1, mark } of held) {
        if (block === NO_BLOCK) continue
        const bytes = arena.bytes[pageOf(block)]!.subarray(offsetOf(block), offsetOf(block) + held1)
        expect([bytes.length, bytes.every((byte) => byte === mark)]).toEqual([held1, true])
      }
      expect(arena.blocks).toBe(held.filter(({ block }) => block !== NO_BLOCK).length)
    }),
    { numRuns: 100 },
  )
})

test('the number of a block has room for half a million pages', () => {
  for (const page of [0, 1, 262_144, 300_000, 524_286]) {
    const block = (page << 13) | 5
    expect([pageOf(block), offsetOf(block), block === NO_BLOCK]).toEqual([page, 40, false])
  }
})

test('what is given back of full pages is used before there are new ones', () => {
  const arena = new Arena()
  const blocks = Array.from({ length: 10_000 }, () => arena.allocate(100))
  const pages = arena.bytes.length
  for (let i = 0; i < blocks.length; i += 2) arena.release(blocks[i]!)
  for (let i = 0; i < blocks.length; i += 2) arena.allocate(100)
  expect(arena.bytes.length).toBe(pages)
})

test('pages that are all free serve blocks of another size', () => {
  const arena = new Arena()
  const memory = (): number => arena.bytes.reduce((sum, page) => sum + page.length, 0)
  const cycle = (size: number): void => {
    const blocks = Array.from({ length: 20_000 }, () => arena.allocate(size))
    for (const block of blocks) arena.release(block)
  }
  cycle(100)
  expect(memory()).toBeLessThan(100_000)
  for (const size of [200, 300, 1000, 100]) cycle(size)
  expect(memory()).toBeLessThan(400_000)
  expect(arena.blocks).toBe(0)
})

test('a change that does not fit is a divergence, and leaves the tree as it was', () => {
  const tree = new NodeTree()
  const node = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 } as const
  tree.create({ ...node, path: '/a' }, 1 as never, 1)
  const before = { digest: tree.digest(), usage: tree.usage() }
  const diverging: (() => void)[] = [
    () => tree.create({ ...node, path: '/a' }, 2 as never, 2),
    () => tree.create({ ...node, path: '/none/b' }, 2 as never, 2),
    () => tree.create({ ...node, path: '/a/' }, 2 as never, 2),
    () => tree.create({ ...node, path: 'a' }, 2 as never, 2),
    () => tree.create({ ...node, path: '/b', acl: 7 }, 2 as never, 2),
    () => tree.setAcl(tree.find('/a'), 7, 1),
    () => tree.delete(tree.find('/'), 2 as never),
    () => tree.delete(tree.find('/zookeeper'), 2 as never),
  ]
  for (const change of diverging) {
    expect(change).toThrow(AntiphonError)
    expect(change).toThrow(expect.objectContaining({ code: 'DIVERGED' }))
  }
  expect({ digest: tree.digest(), usage: tree.usage() }).toEqual(before)
})
