import { type CommittedBatch, type PrimaryContext, zxidOf } from '@antiphon/ports'
import { OPEN_ACL, type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import { expect, test } from 'vitest'
import { FakeReplica } from './fake-replica.test-support.ts'
import { openSession, type Session } from './index.ts'

const NODES = 1500
const WATCHES = 4

/** Turns of the event loop, one by one. */
class Turns {
  readonly #deferred: (() => void)[] = []
  readonly clock = { monotonic: () => 0, wall: () => 0, schedule: () => () => {}, defer: (call: () => void) => void this.#deferred.push(call) }

  /** False: nothing is left. */
  async next(): Promise<boolean> {
    const calls = this.#deferred.splice(0)
    for (const call of calls) call()
    await settled()
    return calls.length > 0
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

class Proposing extends FakeReplica {
  propose(): Promise<object> {
    return Promise.resolve({ type: 'setData', zxid: zxidOf(1, NODES), stat: this.machines.znodes.reader.exists('/n0') })
  }
}

function context(counter: number): PrimaryContext {
  return { epoch: 1, zxid: zxidOf(1, counter), time: 1, monotonic: 0, tickMs: 100, changeBytesMax: 1 << 20, random: () => 4 }
}

function create(tree: ZnodeTree, path: string, counter: number): void {
  const operation = { type: 'create', path, data: null, acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 } as const
  const request = { kind: 'write', session: 0n, attachment: 0 as never, local: true, identities: [], operation } as const
  const bytes = tree.prepare!(tree.encodeRequest(request), context(counter)).slice()
  const batch: CommittedBatch = {
    length: 1,
    bytes,
    start: () => 0,
    end: () => bytes.length,
    change: () => bytes,
    zxid: () => zxidOf(1, counter),
    time: () => 1,
    needsResult: () => true,
  }
  tree.apply(batch)
}

/** A session that watches a tree which a snapshot with many new nodes has just replaced; what each of its watches hears. */
async function restored(): Promise<{ session: Session; heard: string[][]; turns: Turns; tree: ZnodeTree }> {
  const full = znodeTree()
  full.leading!(context(0))
  for (let i = 0; i < NODES; i++) create(full, `/n${i}`, i + 1)
  const turns = new Turns()
  const replica = new Proposing()
  const tree = replica.machines.znodes
  const session = await openSession(replica as never, { local: true, clock: turns.clock as never })
  const heard = Array.from({ length: WATCHES }, () => [] as string[])
  for (const events of heard) session.watch('/', ({ type, path }) => events.push(`${type} ${path}`), { kind: 'recursive' })
  const chunks = [...full.snapshot()].map((chunk) => chunk.slice())
  async function* lent(): AsyncGenerator<Uint8Array> {
    yield* chunks
  }
  await tree.restore(zxidOf(1, NODES), lent())
  await settled()
  return { session, heard, turns, tree }
}

const countOf = (heard: readonly string[][]): number => heard.reduce((sum, events) => sum + events.length, 0)
const ALL = [...Array.from({ length: NODES }, (_, i) => `created /n${i}`), 'childrenChanged /']

test('what a restored state shows is told in slices, all of it, in order, and before any result of the session', async () => {
  const { session, heard, turns, tree } = await restored()
  tree.leading!(context(NODES))
  const results: string[] = []
  void session.getData('/n0').then(() => results.push('read'))
  void session.setData('/n0', 'x').then(() => results.push('write'))
  void session
    .transaction()
    .check('/n0')
    .commit()
    .catch(() => results.push('transaction'))
  await settled()
  expect(countOf(heard)).toBe(0)
  let before = 0
  let turnsTaken = 0
  while (countOf(heard) < WATCHES * ALL.length) {
    expect(results).toEqual([])
    // In the midst of it another change is applied: it waits for its turn.
    if (turnsTaken++ === 2) create(tree, '/live', NODES + 1)
    expect(await turns.next()).toBe(true)
    expect(countOf(heard) - before).toBeLessThanOrEqual(1000 + WATCHES)
    before = countOf(heard)
  }
  await turns.next()
  expect(turnsTaken).toBeGreaterThanOrEqual(6)
  for (const events of heard) expect(events).toEqual([...ALL, 'created /live'])
  expect(results.sort()).toEqual(['read', 'transaction', 'write'])
  expect(await turns.next()).toBe(false)
  await session.close()
})

test('whoever closes a watch or the session in the midst of it is told no more', async () => {
  const { session, heard, turns } = await restored()
  let ended = false
  session.on('closed', () => {
    ended = true
  })
  await turns.next()
  const before = countOf(heard)
  expect(before).toBe(1000)
  await session.close()
  while (await turns.next());
  expect(countOf(heard)).toBe(before)
  expect(ended).toBe(true)
})

test('a read that is given up while events are told says so', async () => {
  const { session, turns } = await restored()
  const leaving = new AbortController()
  const read = session.getData('/n0', { signal: leaving.signal })
  await settled()
  leaving.abort()
  await expect(read).rejects.toMatchObject({ code: 'ABORTED', outcome: 'rejected' })
  while (await turns.next());
  await session.close()
})
