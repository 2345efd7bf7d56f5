import { ZERO } from '@antiphon/ports'
import { runFromBytes } from '@antiphon/wire'
import { History } from '../history.ts'
import { assert, assertEqual, concat, within } from '../suite.ts'
import { assertLog, epochs, FOUNDING, OTHER_STORE_ID, refused, STORE_ID, type StoreCases } from './setup.ts'

/** What a log keeps: entries, epochs, founding; what it gives back; in which order it answers. */
export const log: StoreCases = (add) => {
  add('a new store takes the id that it is offered and is empty', 'always', async (_, state) => {
    assertEqual(
      state,
      {
        storeId: STORE_ID,
        founding: null,
        epochs: { accepted: 0, acceptedFrom: null, current: 0 },
        snapshot: null,
        log: { start: ZERO, last: ZERO, checksum: 0, endPoints: [], time: 0 },
      },
      'the state',
    )
  })

  add('a store keeps its id for ever', 'reopens', async (bench) => {
    assertEqual((await bench.reopen(OTHER_STORE_ID)).storeId, STORE_ID, 'the id after reopening')
  })

  add('an append is readable as soon as write() has returned', 'always', async (bench) => {
    const history = new History()
    const written = bench.write({ append: [history.extend(1, 3), history.extend(1, 4)] })
    await bench.holds(history)
    await written
    await bench.holds(history)
  })

  add('completions come once, in the order of the writes, never from inside', 'always', async (bench) => {
    const history = new History()
    const writes = Array.from({ length: 200 }, (_, index) => bench.write(index % 7 === 3 ? {} : { append: [history.extend(1, 1 + (index % 3))] }))
    await Promise.all(writes)
    assertEqual(
      bench.completed,
      Array.from({ length: 200 }, (_, index) => index + 1),
      'the order of completions',
    )
    await bench.holds(history)
  })

  add('what was appended is there after reopening', 'reopens', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 3), history.extend(1, 2)] })
    await bench.write({ append: [history.extend(2, 4)], epochs: epochs(2, 2) })
    const state = await bench.reopen()
    assertLog(state, history)
    assertEqual(state.epochs, epochs(2, 2), 'the epochs')
    await bench.holds(history)
    await bench.write({ append: [history.extend(2, 1), history.extend(3, 5)] })
    assertLog(await bench.reopen(), history)
    await bench.holds(history)
  })

  add('a run of several epochs, as a synchronisation brings it, keeps all their end points', 'reopens', async (bench) => {
    const history = new History()
    const runs = [1, 2, 5, 9].map((epoch) => history.extend(epoch, 3))
    const joined = runFromBytes(concat(runs.map((run) => run.bytes)), ZERO, 0)
    await bench.write({ append: [joined] })
    await bench.holds(history)
    assertLog(await bench.reopen(), history)
  })

  add('read() gives whole entries in (after, upTo], contiguous and with checksums that hold', 'always', async (bench) => {
    const history = new History()
    for (let i = 0; i < 6; i++) await bench.write({ append: [history.extend(1 + Math.floor(i / 3), 10)] })
    const all = await bench.read(ZERO, history.last)
    const entries = all.flatMap((run) => Array.from({ length: run.entries }, (_, index) => run.first + index))
    assertEqual(entries.length, 60, 'the number of entries')
    for (const [from, to] of [
      [0, 60],
      [3, 9],
      [9, 10],
      [8, 31],
      [29, 30],
      [25, 60],
    ] as const) {
      const after = (from === 0 ? 0 : entries[from - 1]!) as typeof ZERO
      const upTo = entries[to - 1]! as typeof ZERO
      const runs = await bench.read(after, upTo)
      assertEqual(
        runs.reduce((sum, run) => sum + run.entries, 0),
        to - from,
        `entries in (${after}, ${upTo}]`,
      )
      let previous = after
      let checksum = runs[0]!.previousChecksum
      for (const run of runs) {
        assertEqual({ ...runFromBytes(run.bytes, previous, checksum), bytes: null }, { ...run, bytes: null }, 'a run, as its own bytes describe it')
        previous = run.last
        checksum = run.checksum
      }
    }
    assertEqual(await within(bench.store.read(history.last, history.last, 100), 'read() of nothing'), [], 'an empty range')
  })

  add('read() keeps to about bytesMax, and gives one entry at least', 'always', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 200, 400)] })
    await bench.write({ append: [history.extend(1, 200, 400)] })
    const one = await within(bench.store.read(ZERO, history.last, 1), 'read()')
    assertEqual(
      one.reduce((sum, run) => sum + run.entries, 0),
      1,
      'entries within one byte',
    )
    const some = await within(bench.store.read(ZERO, history.last, 10_000), 'read()')
    const bytes = some.reduce((sum, run) => sum + run.bytes.length, 0)
    assert(bytes > 0 && bytes <= 11_000, `10000 bytes were asked for, ${bytes} came`)
    assertEqual(concat((await bench.read(ZERO, history.last, 3_000)).map((run) => run.bytes)), concat(history.bytesAfter(ZERO)), 'the log, read in pieces')
  })

  add('the caller may use the arrays of a write again once write() has returned', 'reopens', async (bench) => {
    const history = new History()
    const append = [history.extend(1, 3), history.extend(1, 2)]
    const written = bench.write({ append })
    append.length = 0
    await written
    await bench.holds(history)
    assertLog(await bench.reopen(), history)
  })

  add('a truncation drops what lies above and nothing else', 'always', async (bench) => {
    const history = new History()
    const kept = history.extend(1, 5)
    await bench.write({ append: [kept, history.extend(1, 5), history.extend(2, 2)], epochs: epochs(2, 2) })
    const shorter = history.upTo(kept.last)
    const written = bench.write({ truncateTo: { zxid: kept.last, checksum: kept.checksum } })
    await bench.holds(shorter)
    await written
    const above = await within(
      bench.store.read(kept.last, history.last, 1000).catch(() => []),
      'read() above the end',
    )
    assertEqual(above, [], 'entries above the truncation')
    shorter.extend(3, 4)
    await bench.write({ append: shorter.runs.slice(-1) })
    await bench.holds(shorter)
  })

  add('a truncation within a run survives reopening, and so do the epochs, the id and the founding', 'reopens', async (bench) => {
    const history = new History()
    await bench.write({ founding: FOUNDING, epochs: epochs(4, 3) })
    const runs = [history.extend(3, 2), history.extend(3, 4), history.extend(4, 4)]
    await bench.write({ append: [runFromBytes(concat(runs.map((run) => run.bytes)), ZERO, 0)] })
    const shorter = history.upTo(runs[1]!.last)
    await bench.write({ truncateTo: { zxid: shorter.last, checksum: shorter.checksum } })
    const state = await bench.reopen()
    assertLog(state, shorter)
    assertEqual([state.storeId, state.epochs, state.founding], [STORE_ID, epochs(4, 3), FOUNDING], 'id, epochs and founding')
    await bench.holds(shorter)
  })

  add('one write cuts off a dirty tail, appends what replaces it and claims the epoch', 'reopens', async (bench) => {
    const history = new History()
    const common = history.extend(1, 5)
    await bench.write({ append: [common, history.extend(1, 3)], epochs: epochs(1, 1) })
    const leader = history.upTo(common.last)
    leader.extend(2, 6)
    await bench.write({ truncateTo: { zxid: common.last, checksum: common.checksum }, append: leader.runs.slice(-1), epochs: epochs(2, 2) })
    await bench.holds(leader)
    const state = await bench.reopen()
    assertLog(state, leader)
    assertEqual(state.epochs, epochs(2, 2), 'the epochs')
    await bench.holds(leader)
  })

  add('a truncation of everything leaves an empty log', 'reopens', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5)] })
    await bench.write({ truncateTo: { zxid: ZERO, checksum: 0 }, epochs: epochs(7, 1) })
    const state = await bench.reopen()
    assertLog(state, new History())
    assertEqual(state.epochs, epochs(7, 1), 'the epochs')
    const again = new History()
    await bench.write({ append: [again.extend(7, 3)] })
    assertLog(await bench.reopen(), again)
  })

  add('a truncation to a history that is not this one is refused, and harms nothing', 'reopens', async (bench) => {
    const history = new History()
    const kept = history.extend(1, 5)
    await bench.write({ append: [kept, history.extend(1, 5)] })
    await refused(bench.write({ truncateTo: { zxid: kept.last, checksum: (kept.checksum ^ 1) >>> 0 } }), 'a truncation with another checksum')
    assertLog(await bench.reopen(), history)
  })

  add('epochs and founding alone are writes like any other', 'reopens', async (bench) => {
    await bench.write({ epochs: epochs(3, 0) })
    await bench.write({ founding: FOUNDING })
    await bench.write({})
    const state = await bench.reopen()
    assertEqual([state.epochs, state.founding], [epochs(3, 0), FOUNDING], 'epochs and founding')
    assertLog(state, new History())
  })

  add('a run of several megabytes is kept whole', 'reopens', async (bench) => {
    const history = new History()
    await bench.write({ append: [history.extend(1, 5, 1 << 20)] })
    await bench.write({ append: [history.extend(1, 1)] })
    assertLog(await bench.reopen(), history)
    await bench.holds(history)
  })
}
