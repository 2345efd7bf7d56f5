import { ZERO } from '@antiphon/ports'
import { History } from '../history.ts'
import { assert, assertEqual, bytesOf, fail, within } from '../suite.ts'
import { assertLog, assertSnapshot, type Bench, epochs, FOUNDING, held, later, readChunks, refused, STORE_ID, type StoreCases } from './setup.ts'

const CHUNKS = [bytesOf(10, 1), bytesOf(70_000, 2), bytesOf(1, 3), bytesOf(4_096, 4)]
const OTHERS = [bytesOf(333, 5), bytesOf(5_000, 6)]

/** Appends `count` runs and saves a snapshot at the end of each; returns the history at each. */
async function snapshotted(bench: Bench, count: number): Promise<{ history: History; at: History[] }> {
  const history = new History()
  const at: History[] = []
  for (let i = 0; i < count; i++) {
    await bench.write({ append: [history.extend(1, 10)] })
    const here = history.upTo(history.last)
    assertEqual(await within(bench.store.saveSnapshot(here.meta(), later([bytesOf(100 + i, i)])), 'saveSnapshot()'), true, 'saveSnapshot()')
    at.push(here)
  }
  await bench.write({ append: [history.extend(1, 10)] })
  return { history, at }
}

/** Snapshots of our own, and what they make needless. */
export const snapshots: StoreCases = (add) => {
  add('there is no snapshot before one was saved', 'always', async (bench) => {
    assertEqual(await within(bench.store.openSnapshot(), 'openSnapshot()'), null, 'the snapshot')
  })

  add('a saved snapshot comes back chunk for chunk, from asynchronous and from plain sources', 'always', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)] })
    assertEqual(await within(bench.store.saveSnapshot(history.meta(), later(CHUNKS)), 'saveSnapshot()'), true, 'saveSnapshot()')
    await assertSnapshot(bench.store, history, CHUNKS)
    await bench.write({ append: [history.extend(2, 5)] })
    assertEqual(await within(bench.store.saveSnapshot(history.meta(), OTHERS), 'saveSnapshot()'), true, 'saveSnapshot()')
    await assertSnapshot(bench.store, history, OTHERS)
    await bench.holds(history)
  })

  add('a saved snapshot is there after reopening, with the log behind it', 'reopens', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)], founding: FOUNDING, epochs: epochs(2, 1) })
    const meta = history.meta()
    const then = history.upTo(history.last)
    await within(bench.store.saveSnapshot(meta, later(CHUNKS)), 'saveSnapshot()')
    await bench.write({ append: [history.extend(2, 3)] })
    const state = await bench.reopen()
    assertEqual([state.snapshot, state.storeId, state.founding, state.epochs], [meta, STORE_ID, FOUNDING, epochs(2, 1)], 'snapshot, id, founding, epochs')
    assertLog(state, history)
    await assertSnapshot(bench.store, then, CHUNKS)
  })

  add('a saved snapshot takes the place of one at the same ZXID', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 2)
    assertEqual(await within(bench.store.saveSnapshot(at[1]!.meta(), later(OTHERS)), 'saveSnapshot()'), true, 'saveSnapshot()')
    await assertSnapshot(bench.store, at[1]!, OTHERS)
    await bench.holds(history)
  })

  add('a snapshot is invisible until it is whole', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 1)
    const { source, reached, release } = held(CHUNKS)
    const saved = bench.store.saveSnapshot(history.meta(), source)
    await within(reached, 'the store asks for chunks')
    await assertSnapshot(bench.store, at[0]!, [bytesOf(100, 0)])
    await bench.write({ append: [history.upTo(history.last).extend(1, 2)] })
    release()
    assertEqual(await within(saved, 'saveSnapshot()'), true, 'saveSnapshot()')
    await assertSnapshot(bench.store, history, CHUNKS)
  })

  add('a snapshot whose source breaks off leaves the one before it', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 1)
    const { source, reached, breakOff } = held(CHUNKS)
    const saved = bench.store.saveSnapshot(history.meta(), source)
    saved.catch(() => {})
    await within(reached, 'the store asks for chunks')
    breakOff(new Error('the machine was restored meanwhile'))
    assert(
      await within(
        saved.then(
          () => false,
          () => true,
        ),
        'saveSnapshot()',
      ),
      'saveSnapshot() resolved although its source threw',
    )
    await assertSnapshot(bench.store, at[0]!, [bytesOf(100, 0)])
    assertEqual(await within(bench.store.saveSnapshot(history.meta(), later(OTHERS)), 'the next saveSnapshot()'), true, 'the next saveSnapshot()')
    await assertSnapshot(bench.store, history, OTHERS)
  })

  add('an open snapshot stays readable whatever is saved and compacted', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 1)
    const pinned = (await bench.store.openSnapshot()) ?? fail('there is no snapshot')
    for (let i = 0; i < 3; i++) {
      await bench.write({ append: [history.extend(1, 10)] })
      await within(bench.store.saveSnapshot(history.meta(), later(OTHERS)), 'saveSnapshot()')
    }
    await within(bench.store.compact(1, history.last), 'compact()')
    assertEqual(pinned.meta, at[0]!.meta(), 'the meta of the pinned snapshot')
    assertEqual(await within(readChunks(pinned), 'the chunks of a pinned snapshot'), [bytesOf(100, 0)], 'the chunks of the pinned snapshot')
    await pinned.close()
    await pinned.close()
    await assertSnapshot(bench.store, history, OTHERS)
  })

  add('an older snapshot is found by its ZXID as long as it is kept, and nothing by any other', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 3)
    for (const [i, then] of at.entries()) {
      const found = (await within(bench.store.openSnapshot(then.last), 'openSnapshot()')) ?? fail(`there is no snapshot at ${then.last}`)
      assertEqual(found.meta, then.meta(), 'the meta of the snapshot')
      assertEqual(await within(readChunks(found), 'the chunks of the snapshot'), [bytesOf(100 + i, i)], 'the chunks of the snapshot')
      await found.close()
    }
    assertEqual(await within(bench.store.openSnapshot(history.last), 'openSnapshot()'), null, 'a snapshot where none was saved')
    const pinned = (await bench.store.openSnapshot(at[0]!.last)) ?? fail('there is no snapshot')
    await within(bench.store.compact(1, history.last), 'compact()')
    assertEqual(await within(bench.store.openSnapshot(at[0]!.last), 'openSnapshot()'), null, 'a snapshot that is not kept any more')
    assertEqual(await within(readChunks(pinned), 'the chunks of a pinned snapshot'), [bytesOf(100, 0)], 'the chunks of the pinned snapshot')
    await pinned.close()
  })

  add('compaction keeps the newest snapshots and the log behind the oldest of them', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 4)
    const start = await within(bench.store.compact(2, history.last), 'compact()')
    assert(start <= at[2]!.last, `the log begins at ${start}, above the older of the two snapshots that were to be kept`)
    await bench.holds(history, at[2]!.last)
    await assertSnapshot(bench.store, at[3]!, [bytesOf(103, 3)])
    await bench.write({ append: [history.extend(2, 3)] })
    await bench.holds(history, start)
  })

  add('compaction forgets nothing at or after keepFrom', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 4)
    const start = await within(bench.store.compact(1, history.runs[1]!.first), 'compact()')
    assert(start <= at[0]!.last, `the log begins at ${start}, but entries from ${history.runs[1]!.first} were to be kept`)
    await bench.holds(history, at[0]!.last)
  })

  add('nothing is forgotten while there is no snapshot', 'always', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 10)] })
    assertEqual(await within(bench.store.compact(1, history.last), 'compact()'), ZERO, 'the start of the log')
    await bench.holds(history)
  })

  add('what compaction has left is there after reopening; epochs, id and founding too', 'reopens', async (bench) => {
    await bench.write({ founding: FOUNDING, epochs: epochs(9, 8) })
    const { history, at } = await snapshotted(bench, 4)
    const start = await within(bench.store.compact(1, history.last), 'compact()')
    const state = await bench.reopen()
    assertEqual(
      [state.storeId, state.founding, state.epochs, state.snapshot],
      [STORE_ID, FOUNDING, epochs(9, 8), at[3]!.meta()],
      'id, founding, epochs, snapshot',
    )
    assertLog(state, history)
    assert(state.log.start <= start, `the log begins at ${state.log.start}, compaction had said ${start}`)
    await bench.holds(history, start)
    await assertSnapshot(bench.store, at[3]!, [bytesOf(103, 3)])
  })

  add('a read that begins before the log is refused', 'always', async (bench) => {
    const { history, at } = await snapshotted(bench, 4)
    const start = await within(bench.store.compact(1, history.last), 'compact()')
    if (start > ZERO) await refused(bench.store.read(ZERO, history.last, 1000), 'a read before the start of the log')
    await bench.holds(history, at[3]!.last)
  })
}
