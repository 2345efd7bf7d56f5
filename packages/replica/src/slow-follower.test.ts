import type { LogStore } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { afterEach, expect, test } from 'vitest'
import { Ensemble, itemsOf, until } from './ensemble.test-support.ts'

let three: Ensemble
afterEach(() => three.closeAll())

/** A store that tells nobody that its writes are durable, until it is released. */
function heldStore(): { readonly store: LogStore; hold(): void; release(): void; readonly bytes: () => number } {
  const inner = memoryStorage()
  let held: (() => void)[] | null = null
  let bytes = 0
  const write: LogStore['write'] = (write, done) => {
    for (const run of write.append) if (held !== null) bytes += run.bytes.length
    inner.write(write, (error) => (held === null ? done(error) : held.push(() => done(error))))
  }
  const store = new Proxy(inner, { get: (target, name) => (name === 'write' ? write : bound(target, name)) })
  return {
    store,
    hold: () => (held = []),
    release: () => {
      const waiting = held ?? []
      held = null
      for (const tell of waiting) tell()
    },
    bytes: () => bytes,
  }
}

function bound(target: LogStore, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name)
  return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
}

test.each([
  ['from memory', 1 << 20],
  ['from the store', 0],
])(
  'a follower whose disk stands still is not sent more than its window, costs the others nothing, and rejoins %s without a closed connection (rule 17)',
  async (_, recentBytes) => {
    const windowBytes = 4000
    const limits = { requestBytesMax: 1000, windowBytes, recentBytes, tickMs: 50, syncLimitTicks: 100 }
    three = new Ensemble(3, limits)
    const disks = [1, 2, 3].map(heldStore)
    disks.forEach(({ store }, i) => three.stores.set(i + 1, store))
    const replicas = await three.startAll()
    const leader = three.leader()
    const slow = three.follower()
    const disk = disks[slow.id - 1]!
    const leaders: unknown[] = []
    for (const replica of replicas) replica.on('leader', (known) => leaders.push(known))
    await slow.propose('list', { text: 'before' })
    disk.hold()
    const count = 60
    for (let i = 0; i < count; i++) await leader.propose('list', { text: `${i}`, padding: 300 })
    expect(itemsOf(leader).length).toBe(count + 1)
    expect(disk.bytes()).toBeGreaterThan(windowBytes / 2)
    expect(disk.bytes()).toBeLessThan(windowBytes + 1500)
    disk.release()
    await until(() => itemsOf(slow).length === count + 1)
    expect(itemsOf(slow)).toEqual(itemsOf(leader))
    expect(leaders).toEqual([])
    // Live again: it is one of those who can commit.
    const other = replicas.find((replica) => replica !== leader && replica !== slow)!
    await three.stop(other.id)
    await slow.propose('list', { text: 'behind' })
    expect(itemsOf(leader).at(-1)).toBe('behind')
  },
)
