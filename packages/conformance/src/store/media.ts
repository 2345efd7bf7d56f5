import type { DiskImage, FaultCode } from '../disk/flat-disk.ts'
import { draws, type Fate, Platter } from '../disk/platter.ts'
import { assert, ConformanceError, fail } from '../suite.ts'
import type { Chronicle } from './chronicle.ts'
import { Bench, type LogStoreSetup, OTHER_STORE_ID, type RecordedPlace, refused, type StorePlace, type StorePlaceCases } from './setup.ts'
import { play, playOn } from './workload.ts'

/** What cannot be seen is not asked for: an answer for each of these is something that the contract allows. */
const REFUSALS = ['CORRUPT', 'VERSION_MISMATCH', 'FOLDER_FOREIGN']
const FATES_PER_POINT = 3
const LONG_MS = 240_000

/** How far the workload was when the store had sent so many operations to its disk. */
interface Mark {
  readonly operations: number
  readonly told: number
}

/** Reopening after everything; the disk's own failures: power, bits, room, errors. */
export const media: StorePlaceCases = (add) => {
  add('reopened after each step of a workload, the store holds what the workload has written', 'reopens', async (setup) => {
    await on(await setup.place(), async (bench) => {
      const chronicle = await play(bench, { reopens: true })
      assertUnbroken(chronicle, 'the workload')
    })
  })

  add(
    'whatever a power failure loses or tears, after any operation on the disk: what was reported durable is there, and nothing that was never written',
    'recorded',
    async (setup) => {
      const marks: Mark[] = []
      const place = await recordedPlace(setup, new Map())
      const { disk } = place
      const chronicle = await recorded(place, marks)
      const points = chosen(disk.operations.length + 1, Math.ceil((setup.copiesMax ?? Number.POSITIVE_INFINITY) / FATES_PER_POINT))
      const platter = new Platter(disk.initial)
      const seen = new Set<string>()
      let mark = 0
      let told = -1
      for (let count = 0; count <= disk.operations.length; count++) {
        if (count > 0) platter.apply(disk.operations[count - 1]!)
        while (mark < marks.length && marks[mark]!.operations <= count) told = marks[mark++]!.told
        if (!points.has(count)) continue
        for (const fate of ['lost', 'kept', count * 2 + 1] satisfies Fate[]) {
          const files = platter.after(fate)
          const key = `${told} ${fingerprint(files)}`
          if (seen.has(key)) continue
          seen.add(key)
          await examine(
            setup,
            files,
            chronicle,
            told,
            `power fails after operation ${count} (${disk.operations[count - 1]?.op ?? 'none'}), fate ${fate}`,
            seen.size % 4 === 0,
          )
        }
      }
      assert(seen.size > 1, 'the store did nothing on its disk')
    },
    LONG_MS,
  )

  for (const code of ['ENOSPC', 'EIO'] as const) {
    add(`${code} at any call stops the store, and nothing that was reported durable is lost`, 'recorded', (setup) => failing(setup, code), LONG_MS)
  }

  add('EIO at any call while a store is opened, read or written to again loses nothing', 'recorded', (setup) => failingAgain(setup), LONG_MS)

  add(
    'a bit that flips anywhere is refused or harms nothing: never another state',
    'damages',
    async (setup) => {
      const { files, chronicle, place } = await finished(setup)
      for (const [name, bytes] of files) {
        const content = bytes.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0)
        let notices = 0
        const offsets = chosen(bytes.length, Math.ceil((setup.copiesMax ?? 400) / files.size))
        const random = draws(bytes.length)
        for (const offset of offsets) {
          const damaged = bytes.slice()
          damaged[offset]! ^= 1 << (random() % 8)
          if (await isNoticed(await place(new Map([...files, [name, damaged]])), chronicle, `a bit of ${name} flipped at ${offset}`)) notices++
        }
        assert(content < 64 || notices > 0, `no flipped bit of ${name}, in which ${content} bytes stand, was noticed`)
      }
      assert(files.size > 0, 'the store has left nothing')
    },
    LONG_MS,
  )
}

async function on<T>(place: StorePlace, body: (bench: Bench) => Promise<T>): Promise<T> {
  const bench = new Bench(place)
  try {
    const result = await body(bench)
    if (bench.breach !== null) fail(bench.breach)
    return result
  } finally {
    await bench.end()
  }
}

function recordedPlace(setup: LogStoreSetup, files: DiskImage): Promise<RecordedPlace> {
  return setup.recorded?.(files) ?? fail("the suite's own mistake: no recorded places")
}

/** The workload on this place, to its end, with what was told when. */
function recorded(place: RecordedPlace, marks: Mark[]): Promise<Chronicle> {
  return on(place, async (bench) => {
    const chronicle = await play(bench, { onTold: ({ told }) => marks.push({ operations: place.disk.operations.length, told }) })
    assertUnbroken(chronicle, 'the workload on a disk that does not fail')
    return chronicle
  })
}

function assertUnbroken(chronicle: Chronicle, what: string): void {
  if (chronicle.breach !== null) fail(`${what}: ${chronicle.breach}`)
  if (chronicle.failure !== null) fail(`${what} failed: ${String(chronicle.failure.error)}`)
}

/** A machine comes up with these files. `further`: it also loses power again at once, and goes on after that. */
async function examine(setup: LogStoreSetup, files: DiskImage, chronicle: Chronicle, told: number, when: string, further: boolean): Promise<void> {
  const place = await recordedPlace(setup, files)
  await on(place, async (bench) => {
    const state = await opened(bench, when)
    const found = await chronicle.assertHolds(bench, state, told, chronicle.issued, when)
    if (!further) return
    const again = remains(place, 'lost')
    await on(await recordedPlace(setup, again), async (next) => {
      await chronicle.assertHolds(
        next,
        await opened(next, `${when}, and again as soon as it is open`),
        told < 0 ? -1 : found,
        found,
        `${when}, and again as soon as it is open`,
      )
    })
    await goesOn(bench, chronicle, found, when)
  })
}

async function goesOn(bench: Bench, chronicle: Chronicle, found: number, when: string): Promise<void> {
  const { history } = chronicle.contents[found]!
  const longer = history.upTo(history.last)
  longer.extend(60, 2)
  await bench.write({ append: longer.runs.slice(-1) })
  const state = await bench.reopen()
  if (state.log.last !== longer.last || state.log.checksum !== longer.checksum) fail(`${when}: what was appended afterwards is not there after reopening`)
  await bench.holds(longer, state.log.start)
}

async function opened(bench: Bench, when: string): ReturnType<Bench['start']> {
  try {
    return await bench.start(OTHER_STORE_ID)
  } catch (error) {
    return fail(`${when}: the store cannot be opened any more: ${String(error)}`)
  }
}

function remains({ disk }: RecordedPlace, fate: Fate): DiskImage {
  const platter = new Platter(disk.initial)
  for (const operation of disk.operations) platter.apply(operation)
  return platter.after(fate)
}

async function failing(setup: LogStoreSetup, code: FaultCode): Promise<void> {
  await atEachCall(setup, code, new Map(), (bench) => play(bench))
}

async function failingAgain(setup: LogStoreSetup): Promise<void> {
  const first = await recordedPlace(setup, new Map())
  const { newest } = await recorded(first, [])
  await atEachCall(setup, 'EIO', remains(first, 'kept'), (bench) => playOn(bench, newest))
}

async function atEachCall(setup: LogStoreSetup, code: FaultCode, files: DiskImage, body: (bench: Bench) => Promise<Chronicle>): Promise<void> {
  let stride = 1
  for (let nth = 1; ; nth += stride) {
    // A slow place is met at fewer calls, spread over the workload.
    if (setup.copiesMax !== undefined && nth > setup.copiesMax >> 2) stride = 7
    const when = `${code} at call ${nth}`
    const place = await recordedPlace(setup, files)
    const chronicle = await on(place, async (bench) => {
      place.disk.fail(nth, code)
      const played = await body(bench)
      if (played.breach !== null) fail(`${when}: ${played.breach}`)
      if (played.failure === null) return played
      assert(place.disk.failed, `${when}, which did not come: the workload failed: ${String(played.failure.error)}`)
      const { code: told } = played.failure.error as { code?: string }
      assert(told === 'DISK_FULL' || told === 'DISK_FAILED', `${when} was reported as ${told}`)
      if (played.failure.ofWrite) await refused(bench.write({}), `${when}: a write after one that failed`)
      return played
    })
    for (const fate of ['lost', 'kept', nth] satisfies Fate[])
      await examine(setup, remains(place, fate), chronicle, chronicle.told, `${when}, then the power fails, fate ${fate}`, false)
    if (!place.disk.failed) return assert(nth > 1, 'the store never used its disk')
  }
}

/** A store that has done the whole workload and was closed in order. */
async function finished(setup: LogStoreSetup): Promise<{ files: DiskImage; chronicle: Chronicle; place: (files: DiskImage) => Promise<StorePlace> }> {
  const { damages } = setup
  if (damages === undefined) {
    const place = await recordedPlace(setup, new Map())
    const chronicle = await recorded(place, [])
    return { files: remains(place, 'kept'), chronicle, place: (files) => recordedPlace(setup, files) }
  }
  const bench = new Bench(await setup.place())
  try {
    const chronicle = await play(bench)
    assertUnbroken(chronicle, 'the workload')
    await bench.store.close()
    return { files: await damages.files(bench.place), chronicle, place: (files) => damages.place(files) }
  } finally {
    await bench.end()
  }
}

/** Whether the damage was noticed; a state that never was, or an old one, fails. */
/** Or told: what the store has in another place need not be refused. */
async function isNoticed(place: StorePlace, chronicle: Chronicle, when: string): Promise<boolean> {
  return on(place, async (bench) => {
    try {
      const state = await bench.start(OTHER_STORE_ID)
      await chronicle.assertHolds(bench, state, chronicle.issued, chronicle.issued, when)
      for (const { code } of bench.troubles) assert(REFUSALS.includes(code), `${when}: the store told ${code} of it`)
      return bench.troubles.length > 0
    } catch (error) {
      if (error instanceof ConformanceError) throw error
      const { code } = error as { code?: string }
      assert(code !== undefined && REFUSALS.includes(code), `${when}: instead of a refusal (${REFUSALS.join(', ')}) there was ${String(error)}`)
      return true
    }
  })
}

/** `count` of the numbers from 0 to `of` - 1, spread evenly. */
function chosen(of: number, count: number): ReadonlySet<number> {
  return new Set(Array.from({ length: Math.min(of, count) }, (_, index) => Math.floor((index * of) / Math.min(of, count))))
}

function fingerprint(files: DiskImage): string {
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, bytes]) => {
      let hash = 0x811c9dc5
      for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
      return `${name} ${bytes.length} ${hash >>> 0}`
    })
    .join()
}
