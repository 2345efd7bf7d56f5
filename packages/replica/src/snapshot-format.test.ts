import { AntiphonError, type SnapshotMeta, ZERO, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { failure, ListMachine } from './ensemble.test-support.ts'
import { decodeRegistration, encodeRegistration, OriginTable } from './origins.ts'
import { decodeRefusal, encodeRefusal, encodeTooLarge } from './refusal.ts'
import { KEPT_REFUSAL, KEPT_RESULT, KEPT_TOO_LARGE, KeptResults } from './results.ts'
import { decodeHead, describeMachines, encodeHead, firstSnapshot, Packer, refounded, SHELL_CHUNKS, Unpacker } from './snapshot-format.ts'

const PACKET_BYTES = 64 * 1024

const machines = [{ name: 'list', machine: new ListMachine('list', 3) }]
const meta: SnapshotMeta = {
  zxid: zxidOf(2, 9),
  checksum: 123,
  endPoints: [
    { epoch: 1, last: zxidOf(1, 4), checksum: 5 },
    { epoch: 2, last: zxidOf(2, 9), checksum: 123 },
  ],
  time: 77,
}

function head(): { bytes: Uint8Array; origins: OriginTable } {
  const origins = new OriginTable()
  Object.assign(origins.register(zxidOf(1, 1), 'ab'.repeat(16), 'cd'.repeat(8)), { last: 8, confirmed: 6 })
  const bytes = encodeHead({ ensembleId: 'ef'.repeat(16), meta, configuration: { version: ZERO, members: [] }, origins, machines: describeMachines(machines) })
  return { bytes, origins }
}

async function* streamOf(packets: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* packets
}

/** The packets of these chunks of machines 1 and 2. */
function pack(first: readonly Uint8Array[], second: readonly Uint8Array[]): Uint8Array[] {
  const packer = new Packer(PACKET_BYTES)
  return [...first.flatMap((chunk) => [...packer.add(1, chunk)]), ...second.flatMap((chunk) => [...packer.add(2, chunk)]), ...packer.end()]
}

async function chunksOf(unpacker: Unpacker, machine: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of unpacker.chunksOf(machine)) chunks.push(chunk)
  return chunks
}

function filled(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff)
}

/** Byte for byte; a matcher would take seconds for a megabyte. */
function expectSame(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(actual.map((chunk) => chunk.length)).toEqual(expected.map((chunk) => chunk.length))
  for (const [i, chunk] of actual.entries()) expect(Buffer.compare(chunk, expected[i]!)).toBe(0)
}

test('chunks of any size come back as the machine gave them', async () => {
  const first = [0, 1, 100, PACKET_BYTES - 13, PACKET_BYTES, 3 * PACKET_BYTES + 5, 0, 7].map(filled)
  const second = [5, PACKET_BYTES - 6].map(filled)
  const packets = pack(first, second)
  expect(Math.max(...packets.map((packet) => packet.length))).toBeLessThanOrEqual(PACKET_BYTES)
  const unpacker = new Unpacker(streamOf(packets))
  expectSame(await chunksOf(unpacker, 1), first)
  expectSame(await chunksOf(unpacker, 2), second)
  await unpacker.expectEnd()
})

test('a machine that takes only some of its chunks does not shift the others', async () => {
  const unpacker = new Unpacker(streamOf(pack([filled(10, 1), filled(10, 2)], [filled(10, 3)])))
  for await (const chunk of unpacker.chunksOf(1)) {
    expect(chunk).toEqual(filled(10, 1))
    break
  }
  await unpacker.skip(1)
  expect(await chunksOf(unpacker, 2)).toEqual([filled(10, 3)])
  await unpacker.expectEnd()
})

test('a snapshot that was cut off is told from a whole one, wherever it ends', async () => {
  const packets = pack([filled(PACKET_BYTES + 10, 1)], [filled(10, 3)])
  const read = async (cut: readonly Uint8Array[]): Promise<void> => {
    const unpacker = new Unpacker(streamOf(cut))
    await chunksOf(unpacker, 1)
    await chunksOf(unpacker, 2)
    await unpacker.expectEnd()
  }
  await read(packets)
  const last = packets.at(-1)!
  for (const cut of [
    packets.slice(0, 1),
    [...packets.slice(0, 1), last.subarray(0, last.length - 6)],
    [...packets.slice(0, 1), last.subarray(0, 9)],
    [...packets, last],
    [],
  ]) {
    expect((await failure(read(cut))).code).toBe('CORRUPT')
  }
})

test('a head tells the ensemble and the origins again', () => {
  const { bytes, origins } = head()
  const restored = decodeHead(bytes, meta, machines)
  expect(restored.ensembleId).toBe('ef'.repeat(16))
  expect(restored.origins.encode()).toEqual(origins.encode())
  expect(restored.origins.get(zxidOf(1, 1))).toMatchObject({ last: 8, confirmed: 6 })
})

test('a head that is damaged, of another point or of other machines is refused', () => {
  const { bytes } = head()
  const codeOf = (body: () => unknown): string => {
    try {
      body()
    } catch (error) {
      if (error instanceof AntiphonError) return error.code
    }
    return 'nothing'
  }
  const edited = (change: (head: Record<string, unknown>) => void): Uint8Array => {
    const parsed = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
    change(parsed)
    return new TextEncoder().encode(JSON.stringify(parsed))
  }
  expect(codeOf(() => decodeHead(bytes.subarray(0, 50), meta, machines))).toBe('CORRUPT')
  expect(codeOf(() => decodeHead(new Uint8Array([0xff, 0xfe]), meta, machines))).toBe('CORRUPT')
  expect(codeOf(() => decodeHead(bytes, { ...meta, checksum: 1 }, machines))).toBe('CORRUPT')
  expect(codeOf(() => decodeHead(bytes, { ...meta, zxid: zxidOf(2, 8) }, machines))).toBe('CORRUPT')
  expect(
    codeOf(() =>
      decodeHead(
        edited((it) => (it['origins'] = [[1, 'x', 'y', 2, 3]])),
        meta,
        machines,
      ),
    ),
  ).toBe('CORRUPT')
  expect(
    codeOf(() =>
      decodeHead(
        edited((it) => (it['origins'] = 5)),
        meta,
        machines,
      ),
    ),
  ).toBe('CORRUPT')
  for (const format of [1, 3]) {
    expect(
      codeOf(() =>
        decodeHead(
          edited((it) => (it['format'] = format)),
          meta,
          machines,
        ),
      ),
    ).toBe('VERSION_MISMATCH')
  }
  expect(codeOf(() => decodeHead(bytes, meta, [{ name: 'list', machine: new ListMachine('list', 4) }]))).toBe('VERSION_MISMATCH')
})

test("the shell's chunks come before the machines', empty ones too, within a bound", async () => {
  const packer = new Packer(PACKET_BYTES)
  const own = [0, 10, PACKET_BYTES + 1, 0].map(filled)
  const packets = [...own.flatMap((chunk) => [...packer.add(SHELL_CHUNKS, chunk)]), ...packer.add(1, filled(5, 1)), ...packer.end()]
  const unpacker = new Unpacker(streamOf(packets))
  expectSame(await chunksOf(unpacker, SHELL_CHUNKS), own)
  expectSame(await chunksOf(unpacker, 1), [filled(5, 1)])
  await unpacker.expectEnd()
  const bounded = async (): Promise<void> => {
    for await (const _ of new Unpacker(streamOf(packets)).chunksOf(SHELL_CHUNKS, PACKET_BYTES));
  }
  await expect(bounded()).rejects.toMatchObject({ code: 'CORRUPT' })
})

test('results that are none, too many or too few are refused', () => {
  const results = new KeptResults()
  results.add(KEPT_RESULT, 1, Uint8Array.of(1, 2, 3), 0, 3, 100)
  results.add(KEPT_REFUSAL, 2, new Uint8Array(200), 0, 200, 100)
  results.add(KEPT_RESULT, 2, new Uint8Array(200), 0, 200, 100)
  const bytes = results.encode()
  const again = KeptResults.decode(bytes.slice(), 3, 8, 2)
  const told: unknown[] = []
  again.forEach((sequence, kind, machine, kept) => told.push([sequence, kind, machine, [...kept]]))
  expect(told).toEqual([
    [6, KEPT_RESULT, 1, [1, 2, 3]],
    [7, KEPT_REFUSAL, 2, []],
    [8, KEPT_TOO_LARGE, 2, []],
  ])
  expect(again.encode()).toEqual(bytes)
  const refused = (broken: Uint8Array, length = 3, machines = 2): void => {
    expect(() => KeptResults.decode(broken, length, 8, machines)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  }
  refused(bytes, 2)
  refused(bytes, 4)
  refused(bytes, 3, 1)
  refused(bytes.with(0, 3))
  refused(bytes.with(1, 0))
  refused(bytes.with(2, 0xff))
  for (let length = 1; length < bytes.length; length++) refused(bytes.subarray(0, length))
})

test('the memory of results stays in proportion to what is kept', () => {
  const results = new KeptResults()
  const kept = (): number[] => {
    const found: number[] = []
    results.forEach((sequence, _kind, _machine, bytes) => found.push(sequence * 1000 + bytes[0]!))
    return found
  }
  for (let i = 1; i <= 5000; i++) {
    results.add(KEPT_RESULT, 1, Uint8Array.of(i & 0xff, 0, 0), 0, 1 + (i % 3), 1e6)
    results.dropUpTo(i - 3)
    if (i > 3 && i % 500 === 0) expect(kept()).toEqual([i - 2, i - 1, i].map((n) => n * 1000 + (n & 0xff)))
  }
  expect([results.length, results.bytes]).toEqual([3, 3 * 6 + 6])
  results.dropUpTo(5000)
  expect([results.length, results.bytes, results.encode().length]).toEqual([0, 0, 0])
})

test('equal states make equal heads, whatever order their fields were made in', () => {
  const member = { id: 1 as never, role: 'voter' as const, weight: 1, group: 0, storeId: null }
  const { storeId, group, weight, role, id } = member
  const encode = (members: readonly (typeof member)[]): Uint8Array =>
    encodeHead({ ensembleId: 'e', meta, configuration: { version: ZERO, members }, origins: new OriginTable(), machines: [] })
  expect(encode([{ storeId, group, weight, role, id }])).toEqual(encode([member]))
})

test('registrations and refusals survive their bytes', () => {
  const registration = { storeId: '0123456789abcdef'.repeat(2), nonce: 'fedcba9876543210' }
  const bytes = encodeRegistration(registration)
  expect(decodeRegistration(bytes, 0, bytes.length)).toEqual(registration)
  expect(decodeRegistration(bytes, 0, bytes.length - 1)).toBeNull()
  expect(decodeRegistration(bytes.with(0, 2), 0, bytes.length)).toBeNull()

  const told = (thrown: unknown): unknown => {
    const refusal = encodeRefusal(thrown)
    const { code, refusal: own, message, outcome } = decodeRefusal(refusal, 0, refusal.length)
    return { code, own, message, outcome }
  }
  expect(told(new AntiphonError('REFUSED', 'no node', { remedy: '', refusal: 'NO_NODE' }))).toEqual({
    code: 'REFUSED',
    own: 'NO_NODE',
    message: 'no node',
    outcome: 'rejected',
  })
  expect(told(new RangeError('too far'))).toEqual({ code: 'REFUSED', own: 'RangeError', message: 'too far', outcome: 'rejected' })
  expect(told(Object.assign(new Error('x'), { code: 'MINE' }))).toMatchObject({ own: 'MINE' })
  expect(told('a text')).toMatchObject({ own: 'Error', message: 'a text' })
  expect(told(undefined)).toMatchObject({ own: 'Error' })
  const long = told(new Error('é'.repeat(5000))) as { message: string }
  expect(long.message).toBe('é'.repeat(2048))
  const tooLarge = encodeTooLarge(11, 10)
  expect(decodeRefusal(tooLarge, 0, tooLarge.length)).toMatchObject({ code: 'TOO_LARGE', outcome: 'rejected', refusal: null })
})

test('a snapshot that is refounded is another ensemble’s, and the same in everything else', async () => {
  const { bytes, origins } = head()
  const packets = pack([filled(100, 1)], [filled(10, 2)])
  const members = [{ id: 4, role: 'voter', weight: 1, group: 0, storeId: '12'.repeat(16) }] as never
  const founding = { ensembleId: '01'.repeat(16), configuration: { version: ZERO, members } }
  const chunks: Uint8Array[] = []
  for await (const chunk of refounded(streamOf([bytes, ...packets]), founding)) chunks.push(chunk)
  expectSame(chunks.slice(1), packets)
  expect(decodeHead(chunks[0]!, meta, machines)).toEqual({ ensembleId: founding.ensembleId, origins: OriginTable.decode(origins.encode()) })
  const { configuration } = JSON.parse(new TextDecoder().decode(chunks[0]))
  expect(configuration).toEqual([0, [[4, 'voter', 1, 0, '12'.repeat(16)]]])
  for (const [broken, code] of [
    [[], 'CORRUPT'],
    [[filled(20, 1)], 'CORRUPT'],
    [[new TextEncoder().encode('{"format":3}')], 'VERSION_MISMATCH'],
  ] as const) {
    await expect(refounded(streamOf(broken), founding).next()).rejects.toMatchObject({ code })
  }
})

test('a snapshot that a history begins with has the machines in their order, and no origin', async () => {
  const founding = { ensembleId: '0a'.repeat(16), configuration: { version: ZERO, members: [] } }
  const state = (name: string, version: number, chunks: readonly Uint8Array[]) => ({ name, version, snapshot: () => chunks })
  const [left, right] = [[filled(3, 1), filled(PACKET_BYTES * 5, 2)], [] as Uint8Array[]]
  const chunks = [...firstSnapshot(founding, meta, { b: state('list', 3, left), a: state('other', 1, right) })]
  const named = ['b', 'a'].map((name) => ({ name, machine: name === 'b' ? state('list', 3, []) : state('other', 1, []) }))
  const restored = decodeHead(chunks[0]!, meta, named)
  expect([restored.ensembleId, restored.origins.size]).toEqual([founding.ensembleId, 0])
  const unpacker = new Unpacker(streamOf(chunks.slice(1)))
  expect(await chunksOf(unpacker, SHELL_CHUNKS)).toEqual([])
  expectSame(await chunksOf(unpacker, 1), left)
  expectSame(await chunksOf(unpacker, 2), right)
  await unpacker.expectEnd()
  const unnamed = { 'not a name': state('list', 3, left) }
  expect(() => [...firstSnapshot(founding, meta, unnamed)]).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
})
