import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { immerState, start } from './index.ts'

const counter = () => immerState({ initial: { count: 0 }, actions: { add: (state, by: number) => (state.count += by) } })

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'antiphon-start-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

test('an ensemble of one keeps its state from one start to the next', async () => {
  const place = join(await folder(), 'deep', 'down')
  for (const expected of [5, 10]) {
    const machine = counter()
    const replica = await start({ id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines: { machine } })
    await replica.ready()
    expect(await machine.dispatch.add(5)).toBe(expected)
    expect((await machine.read()).count).toBe(expected)
    await replica.close()
  }
  expect((await readdir(place)).length).toBeGreaterThan(0)
})

test('what is missing is INVALID_SETTINGS, with a remedy', async () => {
  const place = await folder()
  const machines = { machine: counter() }
  for (const settings of [
    { id: 1, members: { 1: '127.0.0.1:0' }, machines },
    { id: 2, members: { 1: '127.0.0.1:0' }, folder: place, machines },
    { id: 1, folder: place, machines },
    { id: 1, members: { 1: 'nonsense' }, folder: place, machines },
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: place },
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: '', machines },
    { id: '1', members: { 1: '127.0.0.1:0' }, folder: place, machines },
    { members: { 1: '127.0.0.1:0' }, folder: place, machines },
    { id: 1, members: ['127.0.0.1:0'], folder: place, machines },
    { id: 1, members: { 1: { adress: '127.0.0.1:0' } }, folder: place, machines },
    { id: 1, members: { 1: '127.0.0.1:7001', 2: '127.0.0.1:7001' }, folder: place, machines },
    { id: 1, members: { 1: '127.0.0.1:0', 2: '127.0.0.1:7001' }, folder: place, machines },
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines, tickMS: 5 },
    null,
    undefined,
  ]) {
    await expect(start(settings as never)).rejects.toMatchObject({ code: 'INVALID_SETTINGS', outcome: 'rejected', remedy: expect.stringMatching(/\w+/) })
  }
})

test('a folder is of one replica at a time, and a failed start leaves nothing open', async () => {
  const place = await folder()
  const settings = () => ({ id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines: { machine: counter() } })
  const replica = await start(settings())
  await expect(start(settings())).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  await replica.close()
  await (await start(settings())).close()
})
