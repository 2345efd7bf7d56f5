import { type AntiphonError, EPOCH_MAX, type StoredState, type Zxid, zxidOf } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { type FirstState, found } from '@antiphon/storage-tools'
import { expect, test } from 'vitest'
import { closeAll, FRESH, type NotesMachine, numbered, opened, startOn, stores } from './ensemble.ts'

/** That has taken `texts`, by whatever way. */
async function machineWith(texts: readonly string[]): Promise<NotesMachine> {
  const running = await startOn(stores(1))
  const { machine } = running[0]!
  for (const text of texts) await machine.dispatch.note(text)
  await closeAll(running)
  return machine
}

test('an ensemble is founded on a state, in every store the same, and goes on from it in a later epoch', async () => {
  const notes = await machineWith(numbered(3000))
  const made = stores(1, 2, 3, 8)
  const zxid = zxidOf(4, 77)
  const time = Date.now() + 600_000
  const members = [...made].map(([id, store]) => ({ id, store, ...(id === 8 && { role: 'observer' as const }) }))
  const founded = await found({ zxid, time, machines: { notes } }, members)
  expect(founded.members.map(({ id, role }) => [id, role])).toEqual([
    [1, 'voter'],
    [2, 'voter'],
    [3, 'voter'],
    [8, 'observer'],
  ])

  const states = await Promise.all([...made.values()].map(opened))
  const [first] = states as [StoredState]
  expect(first.snapshot!.checksum).not.toBe(0)
  for (const [i, { storeId, founding, snapshot, epochs, log }] of states.entries()) {
    expect([storeId, founding!.ensembleId, founding!.configuration.members.length]).toEqual([founded.members[i]!.storeId, founded.ensembleId, 4])
    expect(snapshot).toEqual({ ...first.snapshot, zxid, time, endPoints: [{ epoch: 4, last: zxid, checksum: first.snapshot!.checksum }] })
    expect([epochs, log.start, log.last, log.checksum]).toEqual([{ accepted: 4, acceptedFrom: null, current: 4 }, zxid, zxid, first.snapshot!.checksum])
  }

  const running = await startOn(made, { observers: [8] })
  expect(running[3]!.machine.state.notes).toEqual(numbered(3000))
  expect(await running[2]!.machine.dispatch.note('after')).toBe(3001)
  await Promise.all(running.map(({ replica }) => replica.read('linearizable')))
  for (const { machine, replica } of running) {
    expect(machine.state.notes).toEqual([...numbered(3000), 'after'])
    expect(replica.status()).toMatchObject({ ensembleId: founded.ensembleId, epoch: 5, warnings: [] })
  }
  await closeAll(running)
  // Entries that are written behind a state of the future do not go back behind it.
  expect((await opened(made.get(1)!)).log.time).toBeGreaterThanOrEqual(time)
})

test('what no ensemble can be founded on is refused before anything is written, and the stores are closed', async () => {
  const notes = await machineWith(numbered(1))
  const sound = { zxid: zxidOf(1, 1), machines: { notes } }
  const refuses = async (code: string, state: Partial<FirstState>, id = 1): Promise<void> => {
    const store = memoryStorage()
    const refused = await found({ ...sound, ...state }, [{ id, store }]).catch((error: AntiphonError) => error)
    expect(refused).toMatchObject({ code, remedy: expect.stringMatching(/\w/) })
    expect((await opened(store)).storeId).toBe(FRESH)
  }
  for (const zxid of [0, -1, 1.5, 7, 2 ** 32, 2 ** 53, EPOCH_MAX * 2 ** 32 + 1]) await refuses('INVALID_ARGUMENT', { zxid: zxid as Zxid })
  for (const time of [-1, 0.5, Number.NaN]) await refuses('INVALID_ARGUMENT', { time })
  await refuses('INVALID_ARGUMENT', {}, 0)
  await refuses('INVALID_SETTINGS', { machines: {} })
  await refuses('INVALID_SETTINGS', { machines: { '1': notes } })
  await refuses('INVALID_SETTINGS', { machines: { notes: { name: 'notes', version: 1 } as never } })
  const broken = {
    name: 'notes',
    version: 1,
    snapshot: (): Iterable<Uint8Array> => {
      throw new Error('no')
    },
  }
  await expect(found({ ...sound, machines: { notes: broken } }, [{ id: 1, store: memoryStorage() }])).rejects.toThrow('no')
  const used = memoryStorage()
  await used.open('e'.repeat(32))
  await used.close()
  await expect(found(sound, [{ id: 1, store: used }])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})
