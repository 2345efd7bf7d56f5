import { History } from '../history.ts'
import { assert, assertEqual, within } from '../suite.ts'
import { assertLog, epochs, OTHER_STORE_ID, refused, type StoreCases } from './setup.ts'

/** Orderly ends, crashes, failures, and a place that is in use. */
export const endings: StoreCases = (add) => {
  add('close() finishes the writes that were accepted, and may be called twice', 'always', async (bench) => {
    const history = new History()
    const writes = Array.from({ length: 20 }, () => bench.write({ append: [history.extend(1, 5)] }))
    await within(Promise.all([bench.store.close(), bench.store.close()]), 'close()')
    assertEqual(bench.completed.length, 20, 'writes that were completed when close() resolved')
    await Promise.all(writes)
    await within(bench.store.close(), 'close() of a closed store')
  })

  add('what close() has finished is there after reopening', 'reopens', async (bench) => {
    const history = new History()
    for (let i = 0; i < 20; i++) bench.write({ append: [history.extend(1, 5)], epochs: epochs(i + 1, 1) })
    const state = await bench.reopen()
    assertLog(state, history)
    assertEqual(state.epochs, epochs(20, 1), 'the epochs')
  })

  add('a closed store refuses writes and reads with an error of its own', 'always', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)] })
    await within(bench.store.close(), 'close()')
    await refused(bench.write({ append: [history.extend(1, 5)] }), 'a write after close()')
    await refused(bench.store.read(history.start, history.last, 1000), 'a read after close()')
  })

  add('a place in use is refused, and its first user is not disturbed', 'exclusive', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)] })
    const second = bench.place.create()
    const error = await refused(second.open(OTHER_STORE_ID), 'open() of a place in use')
    assertEqual(error.code, 'FOLDER_IN_USE', 'the code')
    await within(second.close(), 'close() of a store that was refused')
    await bench.write({ append: [history.extend(1, 5)] })
    await bench.holds(history)
    assertLog(await bench.reopen(), history)
  })

  add('a place is refused for as long as its user has not closed, however many have tried, and free afterwards', 'exclusive', async (bench) => {
    for (let i = 0; i < 3; i++) {
      const other = bench.place.create()
      await refused(other.open(OTHER_STORE_ID), 'open() of a place in use')
      await within(other.close(), 'close() of a store that was refused')
    }
    await within(bench.store.close(), 'close()')
    const next = bench.place.create()
    await within(next.open(OTHER_STORE_ID), 'open() of a place whose user has closed')
    const late = bench.place.create()
    await refused(late.open(OTHER_STORE_ID), 'open() of a place that is in use again')
    await within(late.close(), 'close() of a store that was refused')
    await within(next.close(), 'close()')
  })

  add('what done() has told survives a crash, and every write is there whole or not at all', 'crashes', async (bench) => {
    let history = new History()
    let told = 0
    for (let round = 1; round <= 3; round++) {
      const first = told + 1
      for (let i = first; i < first + 10; i++) {
        const written = bench.write({ append: [history.extend(1, 1 + (i % 4))], epochs: epochs(i, 1) })
        // The last of each round are still under way when the plug is pulled.
        if (i < first + 6) {
          await written
          told = i
        }
      }
      const state = await bench.crash()
      const found = state.epochs.accepted
      assert(found >= told, `write ${told} was told to be durable, but only ${found} are there`)
      history = history.upTo(history.runs[found - 1]!.last)
      assertLog(state, history)
      await bench.holds(history)
      told = found
    }
  })

  add('a truncation that done() has told survives a crash', 'crashes', async (bench) => {
    const history = new History()
    const kept = history.extend(1, 5)
    await bench.write({ append: [kept, history.extend(1, 5)], epochs: epochs(1, 1) })
    await bench.write({ truncateTo: { zxid: kept.last, checksum: kept.checksum } })
    const state = await bench.crash()
    assertLog(state, history.upTo(kept.last))
    assertEqual(state.epochs, epochs(1, 1), 'the epochs')
  })

  add('after a failed flush every later write fails too, and what was durable stays', 'breaks', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)] })
    const durable = history.upTo(history.last)
    assert(bench.place.failNextFlush !== undefined, 'the set-up says `breaks`, but its places have no `failNextFlush`')
    bench.place.failNextFlush()
    const first = bench.write({ append: [history.extend(1, 5)] })
    const second = bench.write({ append: [history.extend(1, 5)] })
    await refused(first, 'the write whose flush failed')
    await refused(second, 'a write behind the one whose flush failed')
    await refused(bench.write({ epochs: epochs(5, 5) }), 'a write after a failed flush')
    assertEqual(bench.completed, [1, 2, 3, 4], 'the order of completions')
    const state = await bench.reopen()
    assert(state.log.last >= durable.last, 'what was durable before the failure is gone')
    assertEqual(state.epochs.accepted, 0, 'the epoch of a write that was refused')
    await bench.holds(durable)
  })
}
