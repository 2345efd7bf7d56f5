import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogStore } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { beforeAll, expect, test } from 'vitest'
import { buildWorker } from '../support/build-worker.ts'
import { run, scratch, spawned } from './command.ts'
import { closeAll, numbered, startOn, written } from './ensemble.ts'

// Folders are read by a process that runs what was built.
beforeAll(() => buildWorker('storage-lmdb', 'storage-kit', 'ports', 'wire', 'consensus-core'))

function storesIn(folder: string, ids: readonly number[]): Map<number, LogStore> {
  return new Map(ids.map((id) => [id, lmdbStorage({ folder: join(folder, `m${id}`), mainThread: true, segmentBytes: 4096, aheadBytes: 0 })]))
}

/** One member's folder, of an ensemble that has taken 60 notes; closed. */
async function storeIn(folder: string): Promise<string> {
  await written(storesIn(folder, [1]), numbered(60), { snapshotEveryEntries: 25 })
  return join(folder, 'm1')
}

async function contents(folder: string): Promise<Map<string, string>> {
  // LMDB notes its readers in its lock file.
  const names = (await readdir(folder)).filter((name) => name !== 'data.mdb-lock').sort()
  return new Map(await Promise.all(names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')] as const)))
}

test('a member in LMDB is inspected, verified and backed up while it takes writes, and the backup becomes an ensemble', { timeout: 120_000 }, async () => {
  const folder = await scratch()
  const running = await startOn(storesIn(folder, [1, 2, 3]), { snapshotEveryEntries: 50 })
  const { machine } = running[0]!
  let notes = 0
  let writing = true
  const writer = (async () => {
    while (writing) {
      await machine.dispatch.note(`note ${notes}`)
      notes++
    }
  })()
  while (notes < 120) await new Promise((resolve) => setImmediate(resolve))
  const member = join(folder, 'm1')

  const inspected = await spawned('inspect', member, '--json')
  const status = running[0]!.replica.status()
  expect(inspected).toMatchObject({ status: 0, err: '' })
  expect(inspected.json).toMatchObject({
    ok: true,
    medium: 'lmdb',
    inUse: true,
    storeId: status.storeId,
    formatVersion: 1,
    epochs: { current: status.epoch },
    founding: { ensembleId: status.ensembleId },
  })
  const { segments, entries, snapshots } = inspected.json as { segments: { database: string; entries: number }[]; entries: number; snapshots: unknown[] }
  expect(segments.reduce((sum, segment) => sum + segment.entries, 0)).toBe(entries)
  expect(segments[0]!.database).toMatch(/^log-[0-9a-f]{8}$/)
  expect(snapshots.length).toBeGreaterThan(0)

  const verified = await Promise.all([1, 2, 3].map((id) => spawned('verify', join(folder, `m${id}`), '--json')))
  for (const { status, json } of verified) expect({ status, json }).toMatchObject({ status: 0, json: { ok: true, medium: 'lmdb', damages: [], inUse: true } })

  const before = notes
  const file = join(folder, 'monday.backup')
  const made = await spawned('backup', member, file, '--json')
  expect(made).toMatchObject({ status: 0, json: { ok: true, inUse: true, ensembleId: status.ensembleId } })
  writing = false
  await writer
  await closeAll(running)

  const to = join(folder, 'new')
  const members = [1, 2, 3].map((id) => `${id}=lmdb:${join(to, `m${id}`)}`).join()
  expect(await run('restore', file, '--members', members, '--json')).toMatchObject({ status: 0, json: { ok: true, former: status.ensembleId } })
  const again = await startOn(storesIn(to, [1, 2, 3]))
  const { notes: found } = await again[2]!.machine.read()
  expect(found.length).toBeGreaterThanOrEqual(before)
  expect(found).toEqual(numbered(found.length))
})

test('a store in LMDB is told in words, whether its kind is named or not', async () => {
  const store = await storeIn(await scratch())
  for (const named of [store, `lmdb:${store}`]) {
    const { status, out } = await run('inspect', named)
    expect({ status, out }).toEqual({ status: 0, out: expect.stringMatching(/^store .*, in LMDB, format version 1\n/) })
    expect(out).toMatch(/\nsegments\n {2}log-[0-9a-f]{8} {2}\d+ entries, \d+\.\d+ to \d+\.\d+\n/)
    expect(out).toMatch(/\nsnapshots\n {2}snapshot-/)
    expect(out).toMatch(/\ndata\.mdb +[\d,]+ bytes\n/)
    expect(await run('verify', named)).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^sound: \d+ entries to 1\.\d+ in \d+ segments, \d+ chunks in \d+ snapshots\n$/),
    })
  }
  const [from, to] = [store, join(await scratch(), 'files')]
  expect(await run('migrate', from, to)).toMatchObject({ status: 0, out: expect.stringContaining('(file)') })
})

test('a byte that has changed in a value of LMDB, in a snapshot or in the marker is found: status 1, and nothing is changed', { timeout: 60_000 }, async () => {
  const folder = await scratch()
  const sound = await storeIn(folder)
  const data = await readFile(join(sound, 'data.mdb'))
  const names = await readdir(sound)
  const snapshot = names.filter((name) => name.startsWith('snapshot-')).at(-1)!
  const damages: [name: string, change: (bytes: Buffer) => void, what: RegExp][] = [
    // Wherever an earlier commit has left the same bytes, too.
    ['data.mdb', (bytes) => everywhere(bytes, Buffer.from('note 59'), 5), /data\.mdb: log-[0-9a-f]{8}: what is read is not what was written/],
    ['data.mdb', (bytes) => everywhere(bytes, head(data), 30), /data\.mdb: the head: its checksum does not match/],
    [snapshot, (bytes) => (bytes[bytes.length - 60]! ^= 1), new RegExp(snapshot)],
    ['antiphon-lmdb', (bytes) => (bytes[9]! ^= 1), /antiphon-lmdb/],
  ]
  for (const [index, [name, change, what]] of damages.entries()) {
    const damaged = join(folder, `damaged-${index}`)
    await cp(sound, damaged, { recursive: true })
    const bytes = await readFile(join(damaged, name))
    change(bytes)
    await writeFile(join(damaged, name), bytes)
    const before = await contents(damaged)
    const { status, json } = await run('verify', damaged, '--json')
    expect({ name, status, json }).toMatchObject({
      name,
      status: 1,
      json: { ok: false, medium: 'lmdb', damages: [{ file: name, what: expect.stringMatching(what) }] },
    })
    expect(await run('verify', damaged)).toMatchObject({ status: 1, out: expect.stringMatching(/^DAMAGED\n {2}\S/) })
    expect(await contents(damaged)).toEqual(before)
  }
  expect(await run('verify', sound)).toMatchObject({ status: 0 })
})

test('what is damaged is not backed up, and what is no store in LMDB is refused', async () => {
  const folder = await scratch()
  const store = await storeIn(folder)
  const file = join(store, 'data.mdb')
  const bytes = await readFile(file)
  everywhere(bytes, Buffer.from('note 59'), 5)
  await writeFile(file, bytes)
  await mkdir(join(folder, 'b'))
  expect(await run('backup', store, join(folder, 'b', 'backup'), '--json')).toMatchObject({ status: 1, json: { ok: false, error: { code: 'CORRUPT' } } })
  expect(await readdir(join(folder, 'b'))).toEqual([])

  const files = join(folder, 'files')
  const other = fileStorage({ folder: files, mainThread: true })
  await other.open('0123456789abcdef'.repeat(2))
  await other.close()
  for (const command of ['inspect', 'verify'])
    expect(await run(command, `lmdb:${files}`, '--json')).toMatchObject({
      status: 2,
      json: { ok: false, error: { code: 'FOLDER_FOREIGN', remedy: expect.stringMatching(/\w/) } },
    })
  expect(await run('verify', `lmdb:${join(folder, 'absent')}`)).toMatchObject({ status: 2, err: expect.stringContaining('INVALID_ARGUMENT') })
})

/** Changes the byte at `offset` behind each place where `what` stands. */
function everywhere(bytes: Buffer, what: Buffer, offset: number): void {
  let found = 0
  for (let at = bytes.indexOf(what); at >= 0; at = bytes.indexOf(what, at + 1)) {
    bytes[at + offset]! ^= 1
    found++
  }
  expect(found).toBeGreaterThan(0)
}

/** What the store's head begins with: its magic and format version. */
function head(data: Buffer): Buffer {
  const magic = Buffer.from([0x41, 0x4e, 0x54, 0x48, 0, 1])
  expect(data.includes(magic)).toBe(true)
  return magic
}
