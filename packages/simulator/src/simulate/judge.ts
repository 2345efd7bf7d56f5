import { formatZxid, ZERO, type Zxid } from '@antiphon/ports'
import { SeededRandom } from '../random.ts'
import type { Recorder, Witness } from './recorder.ts'
import { checkReigns } from './reigns.ts'
import { difference, Replay, sameBytes } from './replay.ts'
import type { Entry, Flaw, Make } from './types.ts'

/** Places at which restores and lazy snapshots are tried. */
const PLACES = 4

/** Takes what the machines of one run have shown apart; the first flaw that explains it, the plainest cause first. Null: they are sound. */
export async function judge<Request, Result>(make: Make<Request, Result>, recorder: Recorder<Request, Result>, seed: number): Promise<Flaw | null> {
  const { entries, witnesses, threw } = recorder
  try {
    const sound = checkRepeats(make, entries)
    if ('kind' in sound) return sound
    return (
      (threw === null ? null : threwIn(threw.where, threw.at, threw.error)) ??
      checkBatches(make, entries, sound, seed) ??
      (await checkRestores(make, entries, sound, seed)) ??
      checkViews(make, entries, seed) ??
      checkWitnesses(make, entries, witnesses, sound) ??
      checkReigns(make, entries, witnesses)
    )
  } catch (error) {
    return threw === null ? threwIn('a fresh machine', entries.at(-1)?.zxid ?? ZERO, error) : threwIn(threw.where, threw.at, threw.error)
  }
}

function threwIn(where: string, zxid: Zxid, error: unknown): Flaw {
  return { kind: 'threw', zxid, explanation: `${where} threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}` }
}

/** What the entries give: the measure for everything else. */
interface Sound {
  readonly results: readonly (Uint8Array | null)[]
  readonly snapshot: Uint8Array
  /** Behind each entry; null when the machine has none. */
  readonly digests: readonly (bigint | null)[]
}

function checkRepeats<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[]): Sound | Flaw {
  const [one, other] = [new Replay(make, 1), new Replay(make, 2)]
  const results: (Uint8Array | null)[] = []
  const digests: (bigint | null)[] = []
  for (const entry of entries) {
    const [result] = one.apply([entry], true) as [Uint8Array | null]
    const [again] = other.apply([entry], true) as [Uint8Array | null]
    const digest = one.digest()
    results.push(result)
    digests.push(digest)
    if (!sameBytes(result, again))
      return nondeterministic(entry.zxid, `its result differs ${difference(result ?? new Uint8Array(0), again ?? new Uint8Array(0))}`)
    if (digest !== other.digest()) return nondeterministic(entry.zxid, whereStatesPart(make, entries, 2) ?? 'its digest differs')
  }
  const snapshot = one.snapshot()
  if (sameBytes(snapshot, other.snapshot())) return { results, snapshot, digests }
  for (let length = 0; length <= entries.length; length++) {
    const differs = whereStatesPart(make, entries.slice(0, length), 2)
    if (differs !== null) return nondeterministic(entries[length - 1]?.zxid ?? ZERO, differs)
  }
  return nondeterministic(entries.at(-1)?.zxid ?? ZERO, 'the snapshot of one state differs from call to call')
}

function whereStatesPart<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], world: number): string | null {
  const [one, other] = [new Replay(make, 1), new Replay(make, world)]
  one.applyEach(entries)
  other.applyEach(entries)
  const [a, b] = [one.snapshot(), other.snapshot()]
  return sameBytes(a, b) ? null : `the state behind it differs ${difference(a, b)}`
}

function nondeterministic(zxid: Zxid, what: string): Flaw {
  return {
    kind: 'nondeterministic',
    zxid,
    explanation: `apply() of the same entries in two fresh machines, at different times on different hosts, does not do the same. Behind ${formatZxid(zxid)} ${what}. Take time from the entries (batch.time) and chance from prepare (context.random).`,
  }
}

function checkBatches<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], sound: Sound, seed: number): Flaw | null {
  const random = new SeededRandom(seed, 8)
  const batched = new Replay(make, 1)
  for (let at = 0; at < entries.length; ) {
    const length = random.between(1, 8)
    batched.apply(entries.slice(at, at + length), false)
    at += length
  }
  const snapshot = batched.snapshot()
  if (sameBytes(snapshot, sound.snapshot)) return null
  return {
    kind: 'depends-on-batch',
    zxid: entries.at(-1)?.zxid ?? null,
    explanation: `the same entries give another state when they come in batches, or from other replicas (needsResult): the snapshots differ ${difference(sound.snapshot, snapshot)}.`,
  }
}

/** Drawn: a machine may be right at every tenth entry. */
function placesOf(entries: readonly Entry[], seed: number): number[] {
  const random = new SeededRandom(seed, 10)
  return [...Array.from({ length: PLACES }, () => random.between(0, entries.length)), entries.length]
}

async function checkRestores<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], sound: Sound, seed: number): Promise<Flaw | null> {
  for (const place of placesOf(entries, seed)) {
    const zxid = entries[place - 1]?.zxid ?? ZERO
    const original = new Replay(make, 1)
    original.applyEach(entries.slice(0, place))
    const chunks = original.chunks()
    const rest = entries.slice(place)
    const begun = new Replay(make, 1)
    begun.applyEach(entries.slice(0, place >> 1))
    for (const [restored, what] of [
      [new Replay(make, 1), 'a fresh machine'],
      [begun, 'a machine with a state of its own'],
    ] as const) {
      await restored.restore(zxid, chunks)
      const differs = restoredDiffers(original, restored, rest, sound.results.slice(place), sound.snapshot)
      if (differs === null) continue
      const { digests, explanation } = differs
      return {
        kind: digests ? 'digest-differs' : 'restore-differs',
        zxid,
        explanation: `the snapshot at ${formatZxid(zxid)}, restored into ${what}, is not the machine that it was taken of: ${explanation}. Let the snapshot hold everything that apply() looks at, and restore() replace all of it.`,
      }
    }
  }
  return null
}

function restoredDiffers<Request, Result>(
  original: Replay<Request, Result>,
  restored: Replay<Request, Result>,
  rest: readonly Entry[],
  results: readonly (Uint8Array | null)[],
  end: Uint8Array,
): { digests: boolean; explanation: string } | null {
  const [taken, found] = [original.snapshot(), restored.snapshot()]
  if (!sameBytes(taken, found)) return { digests: false, explanation: `its snapshot differs ${difference(taken, found)}` }
  if (original.digest() !== restored.digest())
    return { digests: true, explanation: `its snapshot is the same, its digest is ${restored.digest()} instead of ${original.digest()}` }
  for (const [i, entry] of rest.entries()) {
    const [result] = restored.apply([entry], true) as [Uint8Array | null]
    const expected = results[i]!
    if (!sameBytes(result, expected))
      return {
        digests: false,
        explanation: `the result of ${formatZxid(entry.zxid)} differs ${difference(expected ?? new Uint8Array(0), result ?? new Uint8Array(0))}`,
      }
  }
  const later = restored.snapshot()
  return sameBytes(later, end)
    ? null
    : { digests: false, explanation: `the same entries lead it to another state: the snapshots differ ${difference(end, later)}` }
}

function checkViews<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], seed: number): Flaw | null {
  for (const place of placesOf(entries, seed)) {
    const replay = new Replay(make, 1)
    replay.applyEach(entries.slice(0, place >> 1))
    const prompt = replay.snapshot()
    const view = replay.view()
    replay.applyEach(entries.slice(place >> 1))
    const late = replay.read(view)
    if (sameBytes(prompt, late)) continue
    const zxid = entries[(place >> 1) - 1]?.zxid ?? ZERO
    return {
      kind: 'snapshot-differs',
      zxid,
      explanation: `snapshot() at ${formatZxid(zxid)}, read while entries went on being applied, is not the state as of its call: it differs ${difference(prompt, late)}. Fix the view when snapshot() is called.`,
    }
  }
  return null
}

/** What the ensemble's machines showed, against what their entries give. */
function checkWitnesses<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], witnesses: readonly Witness[], sound: Sound): Flaw | null {
  const placeOf = new Map(entries.map(({ zxid }, i) => [zxid, i]))
  const states = new States(make, entries)
  for (const { member, results, digests, snapshots, restores } of witnesses) {
    const who = `member ${member}${restores > 0 ? ', which had restored a snapshot,' : ''}`
    const diverged = (zxid: Zxid, what: string): Flaw => ({
      kind: 'diverged',
      zxid,
      explanation: `${who} ${what}. Nothing but the entries may change what apply() and snapshot() show: prepare(), reads and subscribers least of all.`,
    })
    for (const { at, bytes } of results) {
      const expected = sound.results[placeOf.get(at) ?? -1] ?? null
      if (expected !== null && !sameBytes(expected, bytes))
        return diverged(at, `gives another result for ${formatZxid(at)} than its entries: they differ ${difference(expected, bytes)}`)
    }
    for (const { at, bytes } of snapshots) {
      const expected = states.at(at)
      if (!sameBytes(expected, bytes))
        return diverged(at, `has another state at ${formatZxid(at)} than its entries give: the snapshots differ ${difference(expected, bytes)}`)
    }
    for (const { at, digest } of digests) {
      const expected = sound.digests[placeOf.get(at) ?? -1]
      if (expected === undefined || expected === null || expected === digest) continue
      return {
        kind: 'digest-differs',
        zxid: at,
        explanation: `${who} has the digest ${digest} at ${formatZxid(at)}, its entries give ${expected}. Let the digest follow from the state alone.`,
      }
    }
  }
  return null
}

/** States that entries give, at places that are asked for again and again. */
class States<Request, Result> {
  readonly #make: Make<Request, Result>
  readonly #entries: readonly Entry[]
  readonly #known = new Map<Zxid, Uint8Array>()

  constructor(make: Make<Request, Result>, entries: readonly Entry[]) {
    this.#make = make
    this.#entries = entries
  }

  at(zxid: Zxid): Uint8Array {
    let state = this.#known.get(zxid)
    if (state === undefined) {
      const replay = new Replay(this.#make, 1)
      replay.applyEach(this.#entries.filter((entry) => entry.zxid <= zxid))
      state = replay.snapshot()
      this.#known.set(zxid, state)
    }
    return state
  }
}
