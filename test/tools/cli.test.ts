import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogStore } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { expect, test } from 'vitest'
import { run, scratch, spawned } from './command.ts'
import { closeAll, numbered, startOn, written } from './ensemble.ts'

function storesIn(folder: string, ids: readonly number[]): Map<number, LogStore> {
  return new Map(ids.map((id) => [id, fileStorage({ folder: join(folder, `m${id}`), mainThread: true, segmentBytes: 8 * 1024, aheadBytes: 4096 })]))
}

/** One member's folder, of an ensemble that has taken 60 notes; closed. */
async function storeIn(folder: string): Promise<string> {
  await written(storesIn(folder, [1]), numbered(60), { snapshotEveryEntries: 25 })
  return join(folder, 'm1')
}

test('a member is inspected, verified and backed up while it takes writes, and the backup becomes an ensemble of three', { timeout: 120_000 }, async () => {
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
  while (notes < 200) await new Promise((resolve) => setImmediate(resolve))
  const member = join(folder, 'm1')

  const inspected = await spawned('inspect', member, '--json')
  const status = running[0]!.replica.status()
  expect(inspected).toMatchObject({ status: 0, err: '' })
  expect(inspected.json).toMatchObject({ ok: true, inUse: true, storeId: status.storeId, formatVersion: 1, founding: { ensembleId: status.ensembleId } })
  expect((inspected.json as { segments: unknown[] }).segments.length).toBeGreaterThan(0)

  const verified = await Promise.all([1, 2, 3].map((id) => spawned('verify', join(folder, `m${id}`), '--json')))
  for (const { status, json } of verified) expect({ status, json }).toMatchObject({ status: 0, json: { ok: true, damages: [], inUse: true } })

  const before = notes
  const file = join(folder, 'b', 'monday.backup')
  await mkdir(join(folder, 'b'))
  const made = await spawned('backup', member, file, '--json')
  expect(made).toMatchObject({ status: 0, json: { ok: true, inUse: true, ensembleId: status.ensembleId } })
  const after = notes
  expect(after).toBeGreaterThan(before)
  expect(await readdir(join(folder, 'b'))).toEqual(['monday.backup'])
  writing = false
  await writer
  await closeAll(running)

  const to = join(folder, 'new')
  const restored = await spawned('restore', file, '--members', [1, 2, 3].map((id) => `${id}=${join(to, `m${id}`)}`).join(), '--json')
  expect(restored).toMatchObject({ status: 0, json: { ok: true, former: status.ensembleId } })
  expect(restored.json['ensembleId']).not.toBe(status.ensembleId)
  const again = await startOn(storesIn(to, [1, 2, 3]))
  const { notes: found } = await again[2]!.machine.read()
  expect(found.length).toBeGreaterThanOrEqual(before)
  expect(found.length).toBeLessThanOrEqual(after + 1)
  expect(found).toEqual(numbered(found.length))
  expect(await again[1]!.machine.dispatch.note('onwards')).toBe(found.length + 1)
  expect(again[0]!.replica.status()).toMatchObject({ ensembleId: restored.json['ensembleId'], votes: true })
})

test('a turned bit in any kind of file is found: status 1, file and offset; nothing is changed', async () => {
  const sound = await storeIn(await scratch())
  expect(await run('verify', sound)).toMatchObject({ status: 0, out: expect.stringMatching(/^sound: \d+ entries to 1\.\d+/), err: '' })
  const places = new Map<string, number>([['antiphon-store', 9]])
  const names = (await readdir(sound)).sort()
  places.set(names.find((name) => name.startsWith('log-'))!, 300)
  const snapshot = names.findLast((name) => name.startsWith('snapshot-'))!
  places.set(snapshot, (await stat(join(sound, snapshot))).size - 60)
  for (const [name, offset] of places) {
    const folder = join(await scratch(), 'copy')
    await cp(sound, folder, { recursive: true })
    const bytes = await readFile(join(folder, name))
    bytes[offset]! ^= 4
    await writeFile(join(folder, name), bytes)
    const found = await run('verify', folder, '--json')
    expect(found.status).toBe(1)
    expect(found.json).toMatchObject({ ok: false, damages: [{ file: name, offset: expect.any(Number), what: expect.stringMatching(/\w/) }] })
    const told = await run('verify', folder)
    expect({ status: told.status, out: told.out }).toEqual({ status: 1, out: expect.stringContaining(`${name} at `) })
    expect(Buffer.compare(await readFile(join(folder, name)), bytes)).toBe(0)
    expect((await readdir(folder)).sort()).toEqual(names)
  }
})

test('a damaged member is not backed up, and a damaged backup makes no member', async () => {
  const folder = await scratch()
  const store = await storeIn(folder)
  const file = join(folder, 'backup')
  expect(await run('backup', store, file)).toMatchObject({ status: 0, out: expect.stringContaining('entries behind it') })
  expect(await run('verify', file)).toMatchObject({ status: 0, out: expect.stringMatching(/^sound: /) })
  expect((await run('inspect', file, '--json')).json).toMatchObject({
    ok: true,
    kind: 'backup',
    formatVersion: 1,
    founding: { configuration: { members: [{ id: 1 }] } },
  })
  expect((await run('inspect', file)).out).toContain('members\n  1 voter, store ')

  const bytes = await readFile(file)
  bytes[bytes.length - 200]! ^= 1
  await writeFile(file, bytes)
  expect(await run('verify', file, '--json')).toMatchObject({ status: 1, json: { ok: false, damages: [{ file, offset: expect.any(Number) }] } })
  await mkdir(join(folder, 'n2'))
  const refused = await run('restore', file, '--members', `1=${join(folder, 'n1')}`, `2=${join(folder, 'n2')}`, '--json')
  expect(refused).toMatchObject({ status: 1, json: { ok: false, error: { code: 'CORRUPT', remedy: expect.stringMatching(/\w/) } } })
  expect((await readdir(folder)).sort()).toEqual(['backup', 'm1', 'n2'])
  expect(await readdir(join(folder, 'n2'))).toEqual([])

  const snapshot = (await readdir(store)).findLast((name) => name.startsWith('snapshot-'))!
  const held = await readFile(join(store, snapshot))
  held[held.length - 60]! ^= 1
  await writeFile(join(store, snapshot), held)
  expect(await run('backup', store, join(folder, 'other'))).toMatchObject({ status: 1, err: expect.stringContaining('CORRUPT') })
  expect((await readdir(folder)).filter((name) => name.startsWith('other'))).toEqual([])
})

test('a snapshot alone can be backed up, and observers named', async () => {
  const folder = await scratch()
  const store = await storeIn(folder)
  const file = join(folder, 'backup')
  const made = await run('backup', store, file, '--snapshot-only', '--json')
  expect(made).toMatchObject({ status: 0, json: { entries: 0 } })
  const members = [1, 2, 3].map((id) => `${id}=${join(folder, 'new', `m${id}`)}`)
  const restored = await run('restore', file, '--members', ...members, '--observers', '3', '--json')
  expect(restored.json).toMatchObject({ ok: true, members: [{ role: 'voter' }, { role: 'voter' }, { role: 'observer' }] })
  const running = await startOn(storesIn(join(folder, 'new'), [1, 2, 3]), { observers: [3] })
  const { notes } = await running[2]!.machine.read()
  expect(notes).toEqual(numbered(notes.length))
  expect(notes.length).toBeGreaterThan(20)
})

test('a store is migrated, and the member goes on from the new one', async () => {
  const folder = await scratch()
  const stores = storesIn(folder, [1, 2, 3])
  await written(stores, numbered(40), { snapshotEveryEntries: 15 })
  const moved = join(folder, 'moved')
  const done = await run('migrate', `file:${join(folder, 'm1')}`, `file:${moved}`)
  expect(done).toMatchObject({ status: 0, out: expect.stringContaining('Never start') })
  stores.set(1, fileStorage({ folder: moved, mainThread: true }))
  const running = await startOn(stores)
  expect((await running[0]!.machine.read()).notes).toEqual(numbered(40))
  expect(running[0]!.replica.status()).toMatchObject({ votes: true })
  await running[0]!.machine.dispatch.note('more')
  expect(await run('migrate', moved, join(folder, 'elsewhere'))).toMatchObject({ status: 2, err: expect.stringContaining('FOLDER_IN_USE') })
})

test('a store goes to LMDB and back, and the member with it', async () => {
  const folder = await scratch()
  const stores = storesIn(folder, [1, 2, 3])
  await written(stores, numbered(40), { snapshotEveryEntries: 15 })
  const [there, back] = [join(folder, 'lmdb'), join(folder, 'back')]
  expect(await run('migrate', join(folder, 'm1'), `lmdb:${there}`)).toMatchObject({ status: 0, out: expect.stringContaining('(lmdb)') })
  stores.set(1, lmdbStorage({ folder: there, mainThread: true }))
  const running = await startOn(stores)
  await running[0]!.machine.dispatch.note('in LMDB')
  await closeAll(running)
  expect(await run('migrate', `lmdb:${there}`, back)).toMatchObject({ status: 0, out: expect.stringContaining('(file)') })
  stores.set(1, fileStorage({ folder: back, mainThread: true }))
  const again = await startOn(stores)
  expect((await again[0]!.machine.read()).notes).toEqual([...numbered(40), 'in LMDB'])
  expect(again[0]!.replica.status()).toMatchObject({ votes: true })
})

test('certificates are written for each member, keys for their owner alone', async () => {
  const folder = join(await scratch(), 'certificates')
  const { status, json } = await run('certificates', '--members', '1,2', '--out', folder, '--json')
  expect({ status, json }).toMatchObject({ status: 0, json: { ok: true, days: 30, members: [{ id: 1 }, { id: 2 }] } })
  expect((await readdir(folder)).sort()).toEqual(['ca.pem', 'member-1.key', 'member-1.pem', 'member-2.key', 'member-2.pem'])
  expect((await stat(join(folder, 'member-2.key'))).mode & 0o077).toBe(0)
  const { X509Certificate, createPrivateKey } = await import('node:crypto')
  const authority = new X509Certificate(await readFile(join(folder, 'ca.pem')))
  const certificate = new X509Certificate(await readFile(join(folder, 'member-2.pem')))
  expect(certificate.subjectAltName).toBe('URI:antiphon://peer/2')
  expect(certificate.verify(authority.publicKey)).toBe(true)
  expect(certificate.checkPrivateKey(createPrivateKey(await readFile(join(folder, 'member-2.key'))))).toBe(true)
  expect(Date.parse(certificate.validTo) - Date.now()).toBeGreaterThan(29 * 86_400_000)
})

test('bad input gets a message with its remedy, and status 2; nothing is made', async () => {
  const folder = await scratch()
  const store = await storeIn(folder)
  const file = join(folder, 'backup')
  await run('backup', store, file)
  await writeFile(join(folder, 'text'), 'dear')
  await mkdir(join(folder, 'empty'))
  const n1 = join(folder, 'n1')
  const before = (await readdir(folder)).sort()
  for (const args of [
    ['inspect', join(folder, 'absent')],
    ['inspect', join(folder, 'empty')],
    ['inspect', folder],
    ['verify', join(folder, 'absent')],
    ['backup', join(folder, 'empty'), join(folder, 'other')],
    ['backup', store, file],
    ['backup', store, join(folder, 'absent', 'deep')],
    ['restore', join(folder, 'absent'), '--members', `1=${n1}`],
    ['restore', file, '--members', n1],
    ['restore', file, '--members', `0=${n1}`],
    ['restore', file, '--members', `1=${n1},1=${n1}x`],
    ['restore', file, '--members', `1=${n1},2=${n1}`],
    ['restore', file, '--members', `1=${n1}`, '--observers', '1'],
    ['restore', file, '--members', `1=${n1}`, '--observers', '2'],
    ['restore', file, '--members', `1=${store}`],
    ['restore', file, '--members', `1=tape:${n1}`],
    ['migrate', store, store],
    ['migrate', n1, join(folder, 'n2')],
    ['migrate', join(folder, 'empty'), n1],
    ['migrate', store, `tape:${n1}`],
    ['migrate', store, 'file:'],
    ['migrate', store, join(folder, 'text')],
    ['certificates', '--members', '1,x', '--out', n1],
    ['certificates', '--members', ',', '--out', n1],
    ['certificates', '--members', '1', '--out', store],
    ['certificates', '--members', '1', '--out', n1, '--days', '0'],
  ]) {
    const { status, err, json } = await run(...args, '--json')
    expect({ args, status, err, json }).toEqual({
      args,
      status: 2,
      err: expect.stringMatching(/^antiphon: .+\n.+\n$/),
      json: {
        ok: false,
        error: {
          code: expect.stringMatching(/^[A-Z_]+$/),
          message: expect.stringMatching(/\w/),
          remedy: expect.stringMatching(/\w/),
          details: expect.anything(),
        },
      },
    })
  }
  expect(await run('verify', join(folder, 'text'))).toMatchObject({ status: 1 })
  for (const args of [
    ['inspect'],
    ['restore', file],
    ['inspect', store, '--jsn'],
    ['inspect', store, 'more'],
    ['insect', store],
    ['certificates', '--out', n1],
  ]) {
    const { status, err, json } = await run(...args, '--json')
    expect({ args, status, err, json }).toMatchObject({
      args,
      status: 2,
      err: expect.stringContaining('--help'),
      json: { ok: false, error: { code: 'INVALID_ARGUMENT' } },
    })
  }
  expect(await run()).toMatchObject({ status: 2 })
  expect((await readdir(folder)).sort()).toEqual(before)
})

test('every command has help with an example', async () => {
  const { status, out } = await run('--help')
  expect(status).toBe(0)
  for (const command of ['inspect', 'verify', 'backup', 'restore', 'take-over', 'export-zookeeper', 'migrate', 'certificates']) {
    expect(out).toContain(`  ${command} `)
    const help = await run(command, '--help')
    expect(help).toMatchObject({ status: 0, out: expect.stringMatching(new RegExp(`Example:\\n {2}\\$ antiphon ${command} `)) })
    expect(help.out).toContain('--json')
  }
  const { version } = JSON.parse(await readFile(new URL('../../packages/cli/package.json', import.meta.url), 'utf8'))
  expect(await run('--version')).toMatchObject({ status: 0, out: `${version}\n` })
})
