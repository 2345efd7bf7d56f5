import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { immerState, start, tcpTransport } from './index.ts'

const counter = () => immerState({ initial: { count: 0 }, actions: { add: (state, by: number) => (state.count += by) } })

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

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

test('members of one secret find each other, and nobody else', async () => {
  const ports = await Promise.all([0, 0, 0].map(freePort))
  const members = Object.fromEntries(ports.map((port, i) => [i + 1, `127.0.0.1:${port}`]))
  const place = await folder()
  const member = async (id: number, secret: string) => {
    const machine = counter()
    const replica = await start({ id, members, folder: join(place, String(id)), machines: { machine }, secret })
    onTestFinished(() => replica.close())
    return { replica, machine }
  }
  const stranger = await member(3, 'what somebody else has made up')
  const told = new Promise<string>((resolve) => stranger.replica.on('trouble', ({ code }) => resolve(code)))
  await member(1, 'what all members share')
  expect(await told).toBe('UNAUTHENTICATED')
  await stranger.replica.close()
  const [second] = await Promise.all([member(2, 'what all members share'), member(3, 'what all members share')])
  await second.replica.ready({ timeoutMs: 20_000 })
  expect(await second.machine.dispatch.add(2)).toBe(2)
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
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines, secret: 'short' },
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines, tls: { key: 'x' } },
    { id: 1, members: { 1: '127.0.0.1:0' }, folder: place, machines, secret: 'long enough to be one', transport: tcpTransport({ listen: '127.0.0.1:0' }) },
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
