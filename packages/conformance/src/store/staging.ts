import type { SnapshotMeta } from '@antiphon/ports'
import { History } from '../history.ts'
import { assert, assertEqual, bytesOf, turn, within } from '../suite.ts'
import { assertLog, assertSnapshot, type Bench, epochs, FOUNDING, held, later, STORE_ID, type StoreCases } from './setup.ts'

const CHUNKS = [bytesOf(100, 11), bytesOf(50_000, 12), bytesOf(7, 13)]

/** Our own history, and a leader's that parted from it: with a snapshot that holds more than we have. */
async function parted(bench: Bench): Promise<{ own: History; snapshot: History; leader: History }> {
  const own = new History()
  const common = own.extend(1, 5)
  await bench.write({ founding: FOUNDING, append: [common, own.extend(1, 5)], epochs: epochs(1, 1) })
  const snapshot = own.upTo(common.last)
  snapshot.extend(2, 30)
  return { own, snapshot, leader: snapshot.behind() }
}

const stage = (bench: Bench, meta: SnapshotMeta): Promise<number> => within(bench.store.stage(meta, later(CHUNKS)), 'stage()')

/** A leader's snapshot: a generation of its own until one write installs it (rule 14). */
export const staging: StoreCases = (add) => {
  add('a staged generation is invisible until it is installed', 'always', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const generation = await stage(bench, snapshot.meta())
    await bench.stageAppend(generation, [leader.extend(2, 3)])
    assert(Number.isInteger(generation) && generation >= 1, `generation ${generation}`)
    assertEqual(await within(bench.store.openSnapshot(), 'openSnapshot()'), null, 'the snapshot')
    await bench.holds(own)
    await bench.write({ append: [own.extend(1, 2)] })
    await bench.holds(own)
  })

  add('a staged generation that was not installed is not there after reopening', 'reopens', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    await bench.stageAppend(await stage(bench, snapshot.meta()), [leader.extend(2, 3)])
    const state = await bench.reopen()
    assertLog(state, own)
    assertEqual([state.snapshot, state.epochs, state.founding], [null, epochs(1, 1), FOUNDING], 'snapshot, epochs and founding')
  })

  add('one write installs a generation in the place of snapshot and log, with the epoch that claims it', 'always', async (bench) => {
    const { snapshot, leader } = await parted(bench)
    const generation = await stage(bench, snapshot.meta())
    await bench.stageAppend(generation, [leader.extend(2, 3)])
    await bench.stageAppend(generation, [leader.extend(2, 2), leader.extend(2, 1)])
    const written = bench.write({ install: generation, append: [leader.extend(2, 4)], epochs: epochs(2, 2) })
    await bench.holds(leader)
    await written
    await bench.holds(leader)
    await assertSnapshot(bench.store, snapshot, CHUNKS)
    await bench.write({ append: [leader.extend(2, 1)] })
    await bench.holds(leader)
  })

  add('an installed generation is there after reopening; the id and the founding too', 'reopens', async (bench) => {
    const { snapshot, leader } = await parted(bench)
    const generation = await stage(bench, snapshot.meta())
    await bench.stageAppend(generation, [leader.extend(2, 3)])
    await bench.write({ install: generation, epochs: epochs(2, 2) })
    const state = await bench.reopen()
    assertEqual(
      [state.storeId, state.founding, state.epochs, state.snapshot],
      [STORE_ID, FOUNDING, epochs(2, 2), snapshot.meta()],
      'id, founding, epochs, snapshot',
    )
    assertLog(state, leader)
    await bench.holds(leader)
    await assertSnapshot(bench.store, snapshot, CHUNKS)
    await bench.write({ append: [leader.extend(3, 4)] })
    assertLog(await bench.reopen(), leader)
  })

  add('what was appended to a generation is durable before the write that installs it', 'reopens', async (bench) => {
    const { snapshot, leader } = await parted(bench)
    const generation = await stage(bench, snapshot.meta())
    const appended = bench.stageAppend(generation, [leader.extend(2, 3)])
    const installed = bench.write({ install: generation, epochs: epochs(2, 2) })
    await Promise.all([appended, installed])
    assertLog(await bench.reopen(), leader)
    await bench.holds(leader)
  })

  add('a discarded generation is void, unknown ones are ignored, and no number is used again', 'always', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const first = await stage(bench, snapshot.meta())
    bench.store.discard(first)
    bench.store.discard(first)
    bench.store.discard(12_345)
    const second = await stage(bench, snapshot.meta())
    assert(second > first, `generation ${second} after ${first}`)
    await bench.holds(own)
    await bench.stageAppend(second, [leader.extend(2, 3)])
    await bench.write({ install: second, epochs: epochs(2, 2) })
    await bench.holds(leader)
  })

  add('a generation whose source breaks off is void', 'always', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const { source, reached, breakOff } = held(CHUNKS)
    const staged = bench.store.stage(snapshot.meta(), source)
    staged.catch(() => {})
    await within(reached, 'the store asks for chunks')
    breakOff(new Error('the connection is gone'))
    assert(
      await within(
        staged.then(
          () => false,
          () => true,
        ),
        'stage()',
      ),
      'stage() resolved although its source threw',
    )
    await bench.holds(own)
    const generation = await stage(bench, snapshot.meta())
    await bench.write({ install: generation, append: [leader.extend(2, 1)], epochs: epochs(2, 2) })
    await bench.holds(leader)
  })

  add('a source that stands still holds nothing else up, and goes on where it stopped', 'always', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const { source, reached, release } = held(CHUNKS)
    const staged = bench.store.stage(snapshot.meta(), source)
    await within(reached, 'the store asks for chunks')
    await bench.write({ append: [own.extend(1, 4)] })
    const then = own.upTo(own.last)
    assertEqual(await within(bench.store.saveSnapshot(then.meta(), later([bytesOf(9, 9)])), 'saveSnapshot()'), true, 'saveSnapshot()')
    await assertSnapshot(bench.store, then, [bytesOf(9, 9)])
    await within(bench.store.compact(1, own.last), 'compact()')
    await bench.write({ append: [own.extend(1, 1)] })
    await bench.holds(own, then.last)
    release()
    const generation = await within(staged, 'stage()')
    await bench.stageAppend(generation, [leader.extend(2, 3)])
    await bench.write({ install: generation, epochs: epochs(2, 2) })
    await bench.holds(leader)
    await assertSnapshot(bench.store, snapshot, CHUNKS)
  })

  add('a source that stands still is given up, and another begun in its place leaves nothing of it', 'always', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const { source, reached, breakOff } = held([bytesOf(60_000, 21), bytesOf(3, 22)])
    const first = bench.store.stage(snapshot.meta(), source)
    first.catch(() => {})
    await within(reached, 'the store asks for chunks')
    const second = bench.store.stage(snapshot.meta(), later(CHUNKS))
    breakOff(new Error('another one has begun'))
    const generation = await within(second, 'stage()')
    await bench.holds(own)
    await bench.write({ install: generation, append: [leader.extend(2, 1)], epochs: epochs(2, 2) })
    await bench.holds(leader)
    await assertSnapshot(bench.store, snapshot, CHUNKS)
  })

  add('a source that stands still when the store is closed leaves nothing behind', 'reopens', async (bench) => {
    const { own, snapshot, leader } = await parted(bench)
    const { source, reached, breakOff } = held(CHUNKS)
    const staged = bench.store.stage(snapshot.meta(), source)
    staged.catch(() => {})
    await within(reached, 'the store asks for chunks')
    const state = await bench.reopen()
    breakOff(new Error('the replica was closed'))
    assertLog(state, own)
    assertEqual(state.snapshot, null, 'the snapshot')
    const generation = await stage(bench, snapshot.meta())
    await bench.write({ install: generation, append: [leader.extend(2, 1)], epochs: epochs(2, 2) })
    await bench.holds(leader)
  })

  add('an install voids the snapshot of our own that is being saved', 'always', async (bench) => {
    const { own, snapshot } = await parted(bench)
    const { source, reached, release } = held([bytesOf(5, 1), bytesOf(6, 2)])
    const saved = bench.store.saveSnapshot(own.meta(), source)
    await within(reached, 'the store asks for chunks')
    const generation = await stage(bench, snapshot.meta())
    await bench.write({ install: generation, epochs: epochs(2, 2) })
    release()
    assertEqual(await within(saved, 'saveSnapshot()'), false, 'saveSnapshot() that an install has overtaken')
    await assertSnapshot(bench.store, snapshot, CHUNKS)
  })

  add('a snapshot that was open before an install stays readable', 'always', async (bench) => {
    const { own, snapshot } = await parted(bench)
    await within(bench.store.saveSnapshot(own.meta(), later([bytesOf(9, 9)])), 'saveSnapshot()')
    const pinned = await within(bench.store.openSnapshot(), 'openSnapshot()')
    await bench.write({ install: await stage(bench, snapshot.meta()), epochs: epochs(2, 2) })
    assert(pinned !== null, 'there is no snapshot')
    const chunks: Uint8Array[] = []
    for await (const chunk of pinned.chunks()) chunks.push(chunk.slice())
    assertEqual(chunks, [bytesOf(9, 9)], 'the chunks of the pinned snapshot')
    await pinned.close()
  })

  add('a crash around an install leaves the old history or the new, whole', 'crashes', async (bench) => {
    const { own, snapshot } = await parted(bench)
    // Later and later, until the install is seen.
    for (let turns = 0; turns < 10; turns++) {
      const leader = snapshot.behind()
      const generation = await stage(bench, snapshot.meta())
      bench.stageAppend(generation, [leader.extend(2, 3)])
      bench.write({ install: generation, append: [leader.extend(2, 4)], epochs: epochs(2, 2) })
      for (let i = 0; i < turns; i++) await turn()
      const state = await bench.crash()
      const isNew = state.epochs.current === 2
      assertLog(state, isNew ? leader : own)
      assertEqual([state.snapshot, state.epochs], isNew ? [snapshot.meta(), epochs(2, 2)] : [null, epochs(1, 1)], 'snapshot and epochs')
      await bench.holds(isNew ? leader : own)
      if (isNew) return
    }
  })
}
