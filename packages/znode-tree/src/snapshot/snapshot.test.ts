import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pair, programs, type Step, seen, seenOf } from '../data-tree.test-support.ts'
import { NodeTree } from '../data-tree.ts'
import { ACL, CREATED, CZXID, MTIME, MZXID, PZXID, VERSION } from '../store/records.ts'
import { TreeDecoder } from './decoder.ts'
import { CHUNK_BYTES, snapshotChunks } from './encoder.ts'
import type { TreeView } from './view.ts'

const EXTRA = [new Uint8Array([1, 2, 3]), new Uint8Array(0), new Uint8Array(300).fill(7)]

function bytesOf(chunks: Iterable<Uint8Array>): Uint8Array {
  const all = [...chunks]
  const bytes = new Uint8Array(all.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of all) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** For comparisons: vitest's own take a microsecond for each byte. */
function textOf(chunks: Iterable<Uint8Array>): string {
  return new TextDecoder('latin1').decode(bytesOf(chunks))
}

/** Read back in pieces of the given lengths, again and again. */
function decoded(bytes: Uint8Array, lengths: readonly number[] = [bytes.length]): { tree: NodeTree; extra: Uint8Array[] } {
  const extra: Uint8Array[] = []
  const decoder = new TreeDecoder((piece) => extra.push(piece))
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const chunk = bytes.slice(at, at + lengths[i % lengths.length]!)
    decoder.push(chunk)
    at += chunk.length
    chunk.fill(0xee)
  }
  return { tree: decoder.finish(), extra }
}

const lengths = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 5000 })), { minLength: 1, maxLength: 5 })

test('a snapshot, cut anywhere, becomes the same tree with the same snapshot, and goes on as that one does', () => {
  fc.assert(
    fc.property(programs, programs, lengths, (before, after, cuts) => {
      const pair = new Pair()
      for (const step of before) pair.step(step)
      const bytes = bytesOf(snapshotChunks(pair.tree.view(), EXTRA))
      const { tree, extra } = decoded(bytes, cuts)
      expect(extra).toEqual([EXTRA[0], EXTRA[2]])
      expect(seen(tree)).toEqual(seen(pair.tree))
      expect(textOf(snapshotChunks(tree.view(), EXTRA))).toBe(textOf([bytes]))
      const one = pair.twin(tree)
      for (const step of after) {
        pair.step(step)
        one.step(step)
      }
      expect(seen(tree)).toEqual(seenOf(pair.naive))
      expect(textOf(snapshotChunks(tree.view()))).toBe(textOf(snapshotChunks(pair.tree.view())))
    }),
    { numRuns: 40 },
  )
})

/** What a view shows of the next node; null at its end. */
function nodeOf(view: TreeView): unknown {
  if (!view.advance()) return null
  const { depth, kind, words, doubles, at, dataLength } = view
  const name = String.fromCharCode(...Array.from({ length: view.nameLength }, (_, index) => view.nameUnit(index)))
  const data = dataLength <= 0 ? dataLength : textOf([view.memory.subarray(view.dataAt, view.dataAt + dataLength)])
  const stat = [CZXID, MZXID, PZXID, MTIME].map((field) => doubles[at / 2 + field])
  return [depth, name, kind, data, ...stat, words[at + VERSION], words[at + CREATED], view.aclOf(words[at + ACL]!)]
}

function rest(view: TreeView): unknown[] {
  const nodes: unknown[] = []
  for (let node = nodeOf(view); node !== null; node = nodeOf(view)) nodes.push(node)
  return nodes
}

type ViewStep =
  | { readonly type: 'open' }
  | { readonly type: 'read'; readonly pick: number; readonly count: number }
  | { readonly type: 'close'; readonly pick: number }
const viewStep: fc.Arbitrary<ViewStep> = fc.oneof(
  fc.record({ type: fc.constant('open' as const) }),
  { weight: 4, arbitrary: fc.record({ type: fc.constant('read' as const), pick: fc.nat(100), count: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('close' as const), pick: fc.nat(100) }) },
)

test('each view shows the tree as it was, whatever is changed between its nodes, and however many there are', () => {
  fc.assert(
    fc.property(programs, programs, fc.array(fc.option(viewStep, { freq: 2 }), { minLength: 60, size: 'max', maxLength: 300 }), (before, during, looks) => {
      const pair = new Pair()
      for (const step of before) pair.step(step)
      const open: { view: TreeView; expected: unknown[]; read: unknown[] }[] = []
      const steps: Step[] = [...during]
      for (const look of looks) {
        const step = look === null ? steps.shift() : undefined
        if (step !== undefined) pair.step(step)
        if (look === null) continue
        const chosen = look.type === 'open' ? undefined : open[look.pick % Math.max(1, open.length)]
        if (look.type === 'open') {
          const expected = rest(pair.tree.view())
          open.push({ view: pair.tree.view(), expected, read: [] })
        } else if (look.type === 'read') {
          for (let i = 0; i < look.count && chosen !== undefined; i++) {
            const node = nodeOf(chosen.view)
            if (node !== null) chosen.read.push(node)
          }
        } else if (chosen !== undefined) {
          chosen.view.close()
          expect(chosen.read).toEqual(chosen.expected.slice(0, chosen.read.length))
          open.splice(open.indexOf(chosen), 1)
        }
      }
      for (const { view, expected, read } of open) expect([...read, ...rest(view)]).toEqual(expected)
      for (const step of during) pair.step(step)
      expect(seen(pair.tree)).toEqual(seenOf(pair.naive))
      // Nothing that was kept for views is left behind.
      for (let i = 0; i < 200; i++) pair.tree.setAcl(pair.tree.find('/'), 0, 0)
      const { size } = pair.tree
      const rootBytes = pair.tree.dataLength(pair.tree.find('/'))
      expect(pair.tree.usage()).toEqual({ records: size, blocks: rootBytes > 0 ? size : size - 1, kept: 0 })
    }),
    { numRuns: 150 },
  )
})

test('a view keeps the first state of what it has still to read, and nothing of what it has read', () => {
  const tree = new NodeTree()
  const node = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(200), start: 0, end: 100 } as const
  for (const path of ['/a', '/b', '/c', '/d']) tree.create({ ...node, path }, 1 as never, 1)
  const { records, blocks } = tree.usage()
  const view = tree.view()
  const overwriteAll = (times: number): void => {
    for (let i = 0; i < times; i++) for (const path of ['/a', '/b', '/c', '/d']) tree.setData(tree.find(path), node.bytes, 0, 100 + (i % 50), i, 2 as never, 2)
  }
  overwriteAll(1000)
  expect(tree.usage()).toMatchObject({ records: records + 4, blocks: blocks + 4 })
  expect(rest(view).length).toBe(8)
  const other = tree.view()
  for (let i = 0; i < 6; i++) other.advance()
  // Of `/`, `/zookeeper` and its two, `/a` and `/b` it has seen enough.
  overwriteAll(1000)
  expect(tree.usage()).toMatchObject({ records: records + 2, blocks: blocks + 2 })
  other.close()
  overwriteAll(2)
  expect(tree.usage()).toEqual({ records, blocks, kept: 0 })
})

test('a view that nobody can read any more is closed when it is collected', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const tree = new NodeTree()
  const begin = (): void => void snapshotChunks(tree.view()).next()
  // Of a tree that is one chunk, all is read at once; of this one, not.
  const data = new Uint8Array(100_000)
  for (const path of ['/a', '/b']) tree.create({ path, kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: data, start: 0, end: data.length }, 1 as never, 1)
  begin()
  const overwrite = (): void => tree.setData(tree.find('/b'), data, 0, 10, 1, 2 as never, 2)
  overwrite()
  expect(tree.usage().kept).toBeGreaterThan(0)
  for (let i = 0; i < 1000 && tree.usage().kept > 0; i++) {
    collect()
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  expect(tree.usage()).toMatchObject({ kept: 0, blocks: 5 })
})

test('bytes that are no snapshot are CORRUPT, and nothing else', () => {
  const flips = fc.array(fc.record({ at: fc.nat(), to: fc.nat(255) }), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(programs, flips, fc.boolean(), lengths, (before, changes, isCut, cuts) => {
      const pair = new Pair()
      for (const step of before) pair.step(step)
      let bytes = bytesOf(snapshotChunks(pair.tree.view(), EXTRA))
      for (const { at, to } of changes) bytes[at % bytes.length] = to
      if (isCut) bytes = bytes.subarray(0, changes[0]!.at % bytes.length)
      try {
        decoded(bytes, cuts)
      } catch (error) {
        expect(error).toBeInstanceOf(AntiphonError)
        expect(error).toMatchObject({ code: 'CORRUPT' })
      }
    }),
    { numRuns: 150 },
  )
})

test('a snapshot that is cut off, goes on, or has another digest is refused', () => {
  const bytes = bytesOf(snapshotChunks(new NodeTree().view(), EXTRA))
  expect(decoded(bytes).tree.size).toBe(4)
  for (let length = 0; length < bytes.length; length++) expect(() => decoded(bytes.subarray(0, length))).toThrow('ends too early')
  expect(() => decoded(Uint8Array.from([...bytes, 0]))).toThrow('something follows')
  expect(() => decoded(Uint8Array.from([...bytes.subarray(0, -1), bytes.at(-1)! ^ 1]))).toThrow('digest')
  const late = new TreeDecoder()
  late.push(bytes)
  expect(() => late.push(new Uint8Array(1))).toThrow('something follows')
})

test('all chunks but the last have one length, and data of many chunks is cut into them', () => {
  const tree = new NodeTree()
  const data = new Uint8Array(1_000_000).map((_, index) => index)
  tree.create({ path: '/large', kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: data, start: 0, end: data.length }, 1 as never, 1)
  const chunks = [...snapshotChunks(tree.view())]
  expect(chunks.length).toBe(Math.ceil(bytesOf(chunks).length / CHUNK_BYTES))
  expect(new Set(chunks.slice(0, -1).map((chunk) => chunk.length))).toEqual(new Set([CHUNK_BYTES]))
  const { tree: again } = decoded(bytesOf(chunks), [CHUNK_BYTES])
  expect(textOf([again.data(again.find('/large'))!])).toBe(textOf([data]))
})

test('what is restored takes the place of what there was at once, and views of before stand', () => {
  const [one, other] = [new NodeTree(), new NodeTree()]
  const plain = { kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: -1, end: -1 } as const
  one.create({ ...plain, path: '/one' }, 1 as never, 1)
  other.create({ ...plain, path: '/other' }, 2 as never, 2)
  const expected = textOf(snapshotChunks(one.view()))
  const begun = snapshotChunks(one.view())
  one.replaceWith(other)
  expect(one.find('/one')).toBe(-1)
  expect(one.path(one.find('/other'))).toBe('/other')
  expect(textOf(begun)).toBe(expected)
})
