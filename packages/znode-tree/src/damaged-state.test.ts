import { AntiphonError, type Zxid, zxidOf } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { damaged, damages, HUGE, SEED } from './damaged-bytes.test-support.ts'
import { NodeTree } from './data-tree.ts'
import { batchOf, create, multi, remove, START_TIME, Stage, setAcl, setData, stateOf } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'
import { passwordOf } from './sessions/session-id.ts'
import { SessionTable } from './sessions/session-table.ts'
import { snapshotChunks } from './snapshot/encoder.ts'
import { OPEN_ACL, type WatchEvent } from './types.ts'

/** A state with something of everything. */
function furnished(): Stage {
  const stage = new Stage({ enforceQuota: true })
  const [one, two] = [stage.open(), stage.open(20_000, 2)]
  one.writeAll([
    create('/a', { data: 'x'.repeat(300) }),
    create('/a/b', { acl: [{ perms: 3, scheme: 'ip', id: '10.0.0.0/8' }] }),
    create('/a/n-', { mode: 'persistent-sequential', data: null }),
    create('/e', { mode: 'ephemeral', data: 'e' }),
    create('/ttl', { mode: 'persistent-with-ttl', ttlMs: 2 ** 35 }),
    create('/box', { mode: 'container' }),
    create('/ü'),
    create('/zookeeper/quota/a'),
    create('/zookeeper/quota/a/zookeeper_limits', { data: 'count=5,bytes=-1' }),
    create('/zookeeper/quota/a/zookeeper_stats', { data: 'count=0,bytes=0' }),
    setData('/a', 'y'),
    setAcl('/box', [{ perms: 31, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }]),
  ])
  one.write(multi(create('/m'), remove('/m')))
  two.writeAll([create('/e2', { mode: 'ephemeral' })])
  stage.open().close()
  stage.ask({ kind: 'attachSession', session: two.id, password: passwordOf(two.id), peer: 3, timeoutMs: 7000 })
  return stage
}

async function* cutUp(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths.length === 0 ? bytes.length : lengths[i % lengths.length]!
    yield bytes.slice(at, at + length)
    at += length
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
}

describe('restore', () => {
  const snapshot = joined(stateOf(furnished().leader))
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 50, max: 1500 })), { maxLength: 5 })

  test('of what is whole, cut anywhere, is the same state', async () => {
    await fc.assert(
      fc.asyncProperty(cuts, async (lengths) => {
        const { leader } = new Stage({ enforceQuota: true })
        await leader.restore(zxidOf(1, 99), cutUp(snapshot, lengths))
        expect(joined(stateOf(leader))).toEqual(snapshot)
        expect(leader.digest()).toBe(furnishedDigest)
      }),
      { seed: SEED, numRuns: 30 },
    )
  })
  const furnishedDigest = furnished().leader.digest()

  /** A leader with a state of its own, watches, and a change under way. */
  function standing(): { readonly stage: Stage; readonly seen: () => unknown; readonly told: string[] } {
    const stage = new Stage()
    const holder = stage.open()
    holder.writeAll([create('/own', { data: '1' }), create('/own/child'), create('/own/e', { mode: 'ephemeral' })])
    const told: string[] = []
    const watcher = { notify: ({ type, path }: WatchEvent) => void told.push(`${type} ${path}`), mayRead: () => true }
    const { leader } = stage
    const watches = [
      ['/own', 'data'],
      ['/none', 'data'],
      ['/own', 'children'],
      ['/own', 'persistent'],
      ['/', 'recursive'],
    ] as const
    for (const [path, kind] of watches) leader.watches.add(watcher, path, kind)
    leader.listen({ applied: () => {}, moved: () => {}, closed: () => {}, restored: (zxid) => void told.push(`restored ${zxid}`) })
    holder.prepare(create('/under-way'))
    holder.prepare(create('/own/e2', { mode: 'ephemeral' }))
    const seen = (): unknown => {
      // What is under way is there for what is prepared behind it.
      const changes = [create('/under-way'), remove('/own/e2'), remove('/own')].map((operation) => {
        const change = holder.prepare(operation)
        stage.unprepare()
        return change
      })
      return [
        leader.digest(),
        stateOf(leader),
        leader.reader.zxid,
        leader.watches.size,
        watches.map(([path, kind]) => leader.watches.has(watcher, path, kind)),
        leader.session(holder.id),
        changes,
      ]
    }
    return { stage, seen, told }
  }

  test('of what is damaged is CORRUPT and changes nothing; or it is another state that comes back as it is', async () => {
    let world = standing()
    let before = world.seen()
    let [kept, refused] = [0, 0]
    await fc.assert(
      fc.asyncProperty(damages, cuts, async (all, lengths) => {
        const bytes = damaged(snapshot, all)
        const { leader } = world.stage
        let error: unknown = null
        await leader.restore(zxidOf(1, 99), cutUp(bytes, lengths)).catch((thrown: unknown) => {
          error = thrown
        })
        if (error === null) {
          kept++
          const state = stateOf(leader)
          const other = znodeTree()
          await other.restore(zxidOf(1, 99), cutUp(joined(state), lengths))
          expect(stateOf(other)).toEqual(state)
          expect(other.digest()).toBe(leader.digest())
          world = standing()
          before = world.seen()
          return
        }
        refused++
        expect(error).toBeInstanceOf(AntiphonError)
        expect((error as AntiphonError).code).toBe('CORRUPT')
        expect(world.seen()).toEqual(before)
        expect(world.told).toEqual([])
      }),
      { seed: SEED, numRuns: 400 },
    )
    expect(Math.min(kept, refused)).toBeGreaterThan(10)
    // It goes on as if nothing had been tried.
    const untouched = standing()
    expect(world.stage.flush()).toEqual(untouched.stage.flush())
    expect(world.told).toEqual(untouched.told)
    expect(world.told).toContain('childrenChanged /own')
    world.stage.alike()
  })

  test.each([
    ['a ZXID', -7, START_TIME],
    ['a time', 7, -1],
  ])('of a tree with %s below zero, which no Stat can tell, is CORRUPT', async (_, zxid, time) => {
    const tree = new NodeTree()
    tree.create({ path: '/x', kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 }, zxid as Zxid, time)
    const bytes = joined([...snapshotChunks(tree.view(), new SessionTable().encode())])
    await expect(new Stage().leader.restore(zxidOf(1, 99), cutUp(bytes, []))).rejects.toThrow('below zero')
  })

  test('of a state without a session ends that session, whoever was asked for last', async () => {
    const stage = new Stage()
    const empty = joined(stateOf(stage.leader))
    const holder = stage.open()
    expect(holder.code(create('/x'))).toBe('OK')
    await stage.leader.restore(zxidOf(1, 99), cutUp(empty, []))
    stage.leader.leading!(stage.context)
    const change = stage.leader.prepare!(stage.leader.encodeRequest(holder.request(create('/x'))), stage.context).slice()
    const [refusal] = stage.leader.apply(batchOf([{ change, zxid: zxidOf(1, 100), time: START_TIME }]))
    expect(refusal).toMatchObject({ type: 'error', error: 'SESSION_EXPIRED' })
  })

  test('whose source fails changes nothing', async () => {
    const { stage, seen, told } = standing()
    const before = seen()
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield snapshot.slice(0, -1)
      throw new Error('gone')
    }
    await expect(stage.leader.restore(zxidOf(1, 99), failing())).rejects.toThrow('gone')
    expect(seen()).toEqual(before)
    expect(told).toEqual([])
  })

  test('takes no more memory than there are bytes, whatever they claim', async () => {
    const { leader } = new Stage()
    let most = 0
    for (let at = 0; at < snapshot.length; at += 3) {
      const bytes = Uint8Array.from([...snapshot.subarray(0, at), ...HUGE[at % HUGE.length]!, ...snapshot.subarray(at + 1)])
      const before = process.memoryUsage().arrayBuffers
      await leader.restore(zxidOf(1, 99), cutUp(bytes, [])).catch(() => {})
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(most).toBeLessThan(4 * 2 ** 20)
  })
})

test('a change whose bytes are damaged is applied as another, or throws an AntiphonError', () => {
  const changes: Uint8Array[] = []
  const stage = furnished()
  const holder = stage.open()
  for (const operation of [
    create('/c', { mode: 'ephemeral' }),
    setData('/a', 'z'),
    setAcl('/ttl', OPEN_ACL),
    remove('/m2'),
    multi(create('/x'), setData('/x', '1')),
  ]) {
    changes.push(holder.prepare(operation))
  }
  changes.push(stage.prepare({ kind: 'createSession', peer: 3, timeoutMs: 4000, id: null }))
  changes.push(stage.prepare({ kind: 'closeSession', session: holder.id, attachment: holder.attachment }))
  fc.assert(
    fc.property(fc.nat(changes.length - 1), damages, (which, all) => {
      const change = damaged(changes[which]!, all)
      try {
        furnishedOnce().apply(batchOf([{ change, zxid: zxidOf(1, 100), time: START_TIME }]))
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(AntiphonError)
      }
    }),
    { seed: SEED, numRuns: 1500 },
  )
})

let stages = 0
let last = furnished()
/** Anew now and then: what was applied stays, and changes what the next one meets. */
function furnishedOnce(): Stage['leader'] {
  if (stages++ % 50 === 0) last = furnished()
  return last.leader
}
