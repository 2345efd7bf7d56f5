import type { Zxid } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { NodeTree } from './data-tree.ts'
import { TreeDecoder } from './snapshot/decoder.ts'
import { snapshotChunks } from './snapshot/encoder.ts'

/** A tree that is written to in words. */
class Scribe {
  readonly tree = new NodeTree()
  #counter = 0

  create(path: string, data = ''): this {
    const bytes = new TextEncoder().encode(data)
    this.tree.create({ path, kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes, start: 0, end: bytes.length }, this.#zxid(), 1)
    return this
  }

  set(path: string, data: string | null): this {
    const bytes = new TextEncoder().encode(data ?? '')
    const node = this.tree.find(path)
    this.tree.setData(node, bytes, data === null ? -1 : 0, bytes.length, this.tree.version(node) + 1, this.#zxid(), 1)
    return this
  }

  delete(path: string): this {
    this.tree.delete(this.tree.find(path), this.#zxid())
    return this
  }

  /** As zkCli makes them: the limits first, then the stats. */
  quota(path: string, limits: string): this {
    for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1)) this.create(`/zookeeper/quota${path.slice(0, slash)}`)
    return this.create(`/zookeeper/quota${path}`).create(limitsOf(path), limits).create(statsOf(path), 'count=0,bytes=0')
  }

  text(path: string): string {
    return new TextDecoder().decode(this.tree.data(this.tree.find(path))!)
  }

  #zxid(): Zxid {
    return (2 ** 32 + ++this.#counter) as Zxid
  }
}

const limitsOf = (path: string): string => `/zookeeper/quota${path}/zookeeper_limits`
const statsOf = (path: string): string => `/zookeeper/quota${path}/zookeeper_stats`

test('a quota counts what is below its path, itself included, when its stats node is made, and follows from then on (client-protocol.md section 10)', () => {
  const scribe = new Scribe().create('/q', '12').create('/q/a', '345').create('/other', 'x').quota('/q', 'count=10,bytes=100')
  expect(scribe.text(statsOf('/q'))).toBe('count=2,bytes=5')
  scribe.create('/q/a/b', '6789').create('/other/c', 'xxx')
  expect(scribe.text(statsOf('/q'))).toBe('count=3,bytes=9')
  scribe.set('/q/a', '3').set('/q', null)
  expect(scribe.text(statsOf('/q'))).toBe('count=3,bytes=5')
  scribe.delete('/q/a/b')
  expect(scribe.text(statsOf('/q'))).toBe('count=2,bytes=1')
})

test("a stats node's own Stat does not move with what it says", () => {
  const scribe = new Scribe().create('/q').quota('/q', 'count=10')
  const stat = scribe.tree.stat(scribe.tree.find(statsOf('/q')))
  scribe.create('/q/a', 'more')
  expect(scribe.text(statsOf('/q'))).toBe('count=2,bytes=4')
  expect(scribe.tree.stat(scribe.tree.find(statsOf('/q')))).toEqual(stat)
})

test('only the deepest quota is charged, and told (PathTrieTest, ZooKeeperQuotaTest)', () => {
  const scribe = new Scribe()
    .create('/a')
    .create('/a/b')
    .quota('/a', 'count=10')
    .create('/zookeeper/quota/a/b')
    .create(limitsOf('/a/b'), 'bytes=5')
    .create(statsOf('/a/b'))
  expect(scribe.text(statsOf('/a/b'))).toBe('count=1,bytes=0')
  scribe.create('/a/b/c', 'xyz').create('/a/bb', '12')
  expect(scribe.text(statsOf('/a/b'))).toBe('count=2,bytes=3')
  expect(scribe.text(statsOf('/a'))).toBe('count=3,bytes=2')
  expect(scribe.tree.quotaOf('/a/b/c/d')?.path).toBe('/a/b')
  expect(scribe.tree.quotaOf('/a/bb')?.path).toBe('/a')
  expect(scribe.tree.quotaOf('/')).toBeNull()
  expect(scribe.tree.quotaOf('/ab')).toBeNull()
  // Without its limits the upper one counts again; what was not charged to it meanwhile stays uncharged.
  scribe.delete(limitsOf('/a/b')).create('/a/b/d', '1')
  expect(scribe.text(statsOf('/a/b'))).toBe('count=2,bytes=3')
  expect(scribe.text(statsOf('/a'))).toBe('count=4,bytes=3')
})

test('limits are read as they are written, old and new format, and an absent one is -1 (StatsTrackTest)', () => {
  const scribe = new Scribe().create('/q').quota('/q', 'count=4,bytes=9=;byteHardLimit=15;countHardLimit=5')
  const usage = { path: '/q', count: 1, bytes: 0 }
  expect(scribe.tree.quotaOf('/q/x')).toEqual({ ...usage, countLimit: 4, bytesLimit: 9, countHardLimit: 5, bytesHardLimit: 15 })
  scribe.set(limitsOf('/q'), 'count=7;bytes=')
  expect(scribe.tree.quotaOf('/q')).toEqual({ ...usage, countLimit: 7, bytesLimit: -1, countHardLimit: -1, bytesHardLimit: -1 })
  for (const nonsense of ['', '=', '=,;', 'count', 'count=x,bytes=1e9', 'count=99999999999999999999', null, '\0\u00ff']) {
    scribe.set(limitsOf('/q'), nonsense)
    expect(scribe.tree.quotaOf('/q')).toEqual({ ...usage, countLimit: -1, bytesLimit: -1, countHardLimit: -1, bytesHardLimit: -1 })
  }
})

test('further keys of a stats node stay, behind the lone `=` of old parsers', () => {
  const scribe = new Scribe().create('/q').quota('/q', 'count=4').set(statsOf('/q'), 'count=1,bytes=0=;b=2;a=1')
  scribe.create('/q/x', '12')
  expect(scribe.text(statsOf('/q'))).toBe('count=2,bytes=2=;a=1;b=2')
})

test('a snapshot has the usage as it was', () => {
  const scribe = new Scribe().create('/q').quota('/q', 'count=4')
  const view = scribe.tree.view()
  scribe.create('/q/x', '12')
  const decoder = new TreeDecoder()
  for (const chunk of snapshotChunks(view)) decoder.push(chunk)
  const before = new Scribe()
  before.tree.replaceWith(decoder.finish())
  expect(before.text(statsOf('/q'))).toBe('count=1,bytes=0')
})

test('without a stats node nothing is counted and nothing can be exceeded', () => {
  const scribe = new Scribe().create('/q').quota('/q', 'count=1').delete(statsOf('/q')).create('/q/a')
  expect(scribe.tree.quotaOf('/q/a')).toBeNull()
  scribe.create(statsOf('/q'))
  expect(scribe.tree.quotaOf('/q/a')).toMatchObject({ count: 2, countLimit: 1 })
})

test('a quota outlives the node that it is for, and may come before it', () => {
  const scribe = new Scribe().quota('/q/r', 'count=1')
  expect(scribe.text(statsOf('/q/r'))).toBe('count=0,bytes=0')
  scribe.create('/q').create('/q/r', 'x')
  expect(scribe.text(statsOf('/q/r'))).toBe('count=1,bytes=1')
  scribe.delete('/q/r')
  expect(scribe.text(statsOf('/q/r'))).toBe('count=0,bytes=0')
})

test('a restored tree goes on counting where the other one is, as it does itself', () => {
  // What a lower quota took over was not given back: counting anew would make replicas differ.
  const scribe = new Scribe()
    .create('/a')
    .create('/a/b')
    .quota('/a', 'count=10')
    .create('/zookeeper/quota/a/b')
    .create(limitsOf('/a/b'), 'bytes=5')
    .create(statsOf('/a/b'))
    .create('/a/b/c')
  const decoder = new TreeDecoder()
  for (const chunk of snapshotChunks(scribe.tree.view())) decoder.push(chunk)
  const restored = new Scribe()
  restored.tree.replaceWith(decoder.finish())
  for (const one of [scribe, restored]) one.create('/a/d', '1').create('/a/b/e', '22')
  for (const path of ['/a', '/a/b']) expect(restored.text(statsOf(path))).toBe(scribe.text(statsOf(path)))
  expect(scribe.text(statsOf('/a'))).toBe('count=3,bytes=1')
})
