import { AntiphonError, type LogStore, systemClock } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { expect, test } from 'vitest'
import { Ensemble, failure, itemsOf, ListMachine, until } from './ensemble.test-support.ts'
import { Notes } from './notes.ts'
import { decodeRefusal, encodeRefusal } from './refusal.ts'

class ThrowsInUnprepare extends ListMachine {
  override unprepare(): void {
    throw new Error('it cannot take anything back')
  }
}

test('a machine that throws in unprepare stops its replica, and nothing of the half batch is proposed', async () => {
  const ensemble = new Ensemble(1, { requestBytesMax: 2000 })
  const replica = await ensemble.start(1, { machines: { list: new ThrowsInUnprepare() } })
  await replica.ready()
  await replica.propose('list', { text: 'before' })
  const { last } = replica.status()
  const rejected = failure(replica.propose('list', { text: 'large', padding: 5000 }))
  await until(() => replica.status().closed)
  expect(replica.status()).toMatchObject({ last, fault: { code: 'DIVERGED', message: expect.stringContaining('it cannot take anything back') } })
  expect(await rejected).toMatchObject({ code: 'CLOSED' })
  await ensemble.closeAll()
})

test('what throws when it is looked at is a refusal too', () => {
  const hostile = {
    get code(): string {
      throw new Error('hands off')
    },
  }
  const bytes = encodeRefusal(hostile)
  expect(decodeRefusal(bytes, 0, bytes.length)).toMatchObject({ code: 'REFUSED', refusal: 'Error' })
})

test('a signal that is none is refused before anything is taken', async () => {
  const ensemble = new Ensemble(1)
  const [replica] = await ensemble.startAll()
  for (const signal of [{}, 'stop', { addEventListener() {} }] as never[]) {
    expect(await failure(replica!.propose('list', { text: 'a' }, { signal }))).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'rejected' })
    expect(await failure(replica!.read('linearizable', { signal }))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  }
  await replica!.propose('list', { text: 'b' })
  expect(itemsOf(replica!)).toEqual(['b'])
  await ensemble.closeAll()
})

test('a note that is none, or too long for a heartbeat, is left out and told of; the others go', () => {
  const troubles: AntiphonError[] = []
  const noting = (note: unknown) => ({ name: 'm', machine: { note: () => note } as never })
  const machines = [noting('text'), noting(new Uint8Array(70_000)), noting(null), noting(new Uint8Array([7]))]
  const notes = new Notes(machines, systemClock(), (error) => troubles.push(error))
  expect(notes.gather()).toEqual([{ machine: 4, note: new Uint8Array([7]) }])
  expect(troubles.map(({ code }) => code)).toEqual(['INVALID_ARGUMENT', 'INVALID_ARGUMENT'])
})

test('machines in another order, renamed or missing stop the replica before anything is applied to the wrong one, snapshot or not', async () => {
  const machines = () => ({ list: new ListMachine(), other: new ListMachine() })
  for (const wrong of [
    () => ({ other: new ListMachine(), list: new ListMachine() }),
    () => ({ list: new ListMachine(), renamed: new ListMachine() }),
    () => ({ list: new ListMachine() }),
  ]) {
    const ensemble = new Ensemble(1)
    const replica = await ensemble.start(1, { machines: machines() })
    await replica.ready()
    await replica.propose('list', { text: 'a' })
    await ensemble.stop(1)
    const swapped = await ensemble.start(1, { machines: wrong() as never })
    await until(() => swapped.status().closed)
    expect(swapped.status().fault).toMatchObject({ code: 'VERSION_MISMATCH', message: expect.stringContaining('"other"') })
    expect(itemsOf(swapped)).toEqual([])
    await ensemble.stop(1)
    const right = await ensemble.start(1, { machines: machines() })
    await right.ready()
    expect(itemsOf(right)).toEqual(['a'])
    await ensemble.closeAll()
  }
})

test('a logger that throws loses its lines, and nothing else', async () => {
  const angry = (): void => {
    throw new Error('no logs today')
  }
  const ensemble = new Ensemble(1)
  const replica = await ensemble.start(1, { logger: { debug: angry, info: angry, warn: angry, error: angry } })
  await replica.ready()
  await replica.propose('list', { text: 'a' })
  expect(itemsOf(replica)).toEqual(['a'])
  await ensemble.closeAll()
})

for (const error of [
  new AntiphonError('DISK_FAILED', 'the flush failed', { remedy: 'Replace the disk.' }),
  new AntiphonError('DISK_FULL', 'no space is left', { remedy: 'Free space.', details: { storeFailed: true } }),
]) {
  test(`a store that fails with ${error.code} while a snapshot is saved stops the replica, although nothing is being written (rule 4)`, async () => {
    const store = memoryStorage()
    const failing: LogStore = {
      supports: store.supports,
      open: (id) => store.open(id),
      write: (write, done) => store.write(write, done),
      read: (after, upTo, bytesMax) => store.read(after, upTo, bytesMax),
      saveSnapshot: () => Promise.reject(error),
      openSnapshot: () => store.openSnapshot(),
      stage: (meta, chunks) => store.stage(meta, chunks),
      stageAppend: (generation, runs, done) => store.stageAppend(generation, runs, done),
      discard: (generation) => store.discard(generation),
      compact: (retain, keepFrom) => store.compact(retain, keepFrom),
      close: () => store.close(),
    }
    const ensemble = new Ensemble(1, { snapshotEveryEntries: 3 })
    const replica = await ensemble.start(1, { storage: failing })
    await replica.ready()
    for (const text of ['a', 'b', 'c']) await replica.propose('list', { text }).catch(() => {})
    await until(() => replica.status().closed)
    expect(replica.status().fault).toMatchObject({ code: error.code })
    await ensemble.closeAll()
  })
}
