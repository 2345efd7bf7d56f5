import type { FaultEvent } from '../faults.ts'
import type { Profile } from '../profile.ts'
import { type RunResult, type RunScript, runSeed } from '../simulation.ts'
import { calmProfile, STILL } from './calm.ts'
import { leavesOf, type Script } from './script.ts'

export interface ShrinkBounds {
  /** Runs of the simulation, all in all. With them alone the outcome is the same every time. */
  readonly runs: number
  /** Asked before each run; false ends the search with what was found so far. */
  readonly goOn?: () => boolean
}

/** A run that breaks a promise, short. */
export interface Shrunk {
  readonly script: Script
  /** Its length: happenings taken from the timeline until the promise breaks. */
  readonly steps: number
  /** The failing run's own. */
  readonly stepsBefore: number
  readonly faultsBefore: number
  readonly runs: number
  /** Nothing smaller was found although everything was tried: neither bound was in the way. */
  readonly complete: boolean
}

/** What an explanation costs, in steps. */
const FAULT_WEIGHT = 300
const MEMBER_WEIGHT = 1000
const SETTING_WEIGHT = 30
const REQUEST_WEIGHT = 2
const SECOND_WEIGHT = 10
/** Less of them is less, whatever is ordinary. */
const MEASURED: ReadonlySet<string> = new Set(['requests', 'troubleMsMax'])

/**
 * Cuts a failing run short: fewer faults, members, requests and clients, calmer conditions, less time. What is left breaks the same invariant, by the same seed. A change is kept if the run
 * becomes smaller by it, as `sizeOf` measures; so the search ends. Null: told one by one, the faults do not lead there again.
 */
export async function shrink(failed: RunResult, bounds: ShrinkBounds): Promise<Shrunk | null> {
  const search = new Shrinking(failed, bounds)
  return (await search.begin()) ? search.run() : null
}

class Shrinking {
  readonly #failed: RunResult
  readonly #bounds: ShrinkBounds
  readonly #tried = new Set<string>()
  #best: RunResult
  #runs = 0
  #ended = false

  constructor(failed: RunResult, bounds: ShrinkBounds) {
    this.#failed = failed
    this.#bounds = bounds
    this.#best = failed
  }

  /** The run as a script breaks the same. */
  async begin(): Promise<boolean> {
    const profile = { ...this.#failed.profile, faults: [] }
    const again = await this.#run({ profile, faults: this.#failed.faults }, Number.POSITIVE_INFINITY)
    if (again === null) return false
    this.#best = again
    return true
  }

  async run(): Promise<Shrunk> {
    for (let size = Number.POSITIVE_INFINITY; sizeOf(this.#best) < size && !this.#ended; ) {
      size = sizeOf(this.#best)
      await this.#calmAll()
      await this.#dropFaults()
      await this.#dropMembers()
      await this.#askLess()
      await this.#calmEach()
      await this.#shortenFaults()
    }
    const { seed, profile, faults, violation, steps } = this.#best
    const { invariant, message } = violation!
    return {
      script: { seed, profile, faults, invariant, found: message, bugs: [], story: [] },
      steps,
      stepsBefore: this.#failed.steps,
      faultsBefore: this.#failed.faults.length,
      runs: this.#runs,
      complete: !this.#ended,
    }
  }

  async #calmAll(): Promise<void> {
    const { voters, observers, requests, troubleMsMax } = this.#best.profile
    await this.#try({ profile: { ...calmProfile(voters.length, observers), voters, requests, troubleMsMax } })
  }

  /** All, those of one kind, and then ever smaller parts of the list (delta debugging). */
  async #dropFaults(): Promise<void> {
    if (this.#best.faults.length === 0 || (await this.#try({ faults: [] }))) return
    for (const kind of new Set(this.#best.faults.map((fault) => fault.kind)))
      await this.#try({ faults: this.#best.faults.filter((fault) => fault.kind !== kind) })
    for (let part = Math.ceil(this.#best.faults.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2))
      // From the end: what is late is least likely to matter.
      for (let end = this.#best.faults.length; end > 0 && !this.#ended; end -= part) {
        const { faults } = this.#best
        if (end <= faults.length) await this.#try({ faults: [...faults.slice(0, Math.max(0, end - part)), ...faults.slice(end)] })
      }
  }

  async #dropMembers(): Promise<void> {
    while (this.#best.profile.observers > 0 && (await this.#tryMembers(this.#best.profile.voters.length, this.#best.profile.observers - 1)));
    for (let voters = 1; voters < this.#best.profile.voters.length; voters++) if (await this.#tryMembers(voters, this.#best.profile.observers)) return
  }

  #tryMembers(voters: number, observers: number): Promise<boolean> {
    const { profile } = this.#best
    const skews = Array.from({ length: voters + observers }, (_, i) => profile.skews[i] ?? STILL)
    return this.#try({ profile: { ...profile, voters: profile.voters.slice(0, voters), observers, skews } })
  }

  async #askLess(): Promise<void> {
    for (const field of ['clients', 'burst'] as const) if (this.#best.profile[field] > 1) await this.#set({ [field]: 1 })
    while (this.#best.profile.requests > 1 && (await this.#set({ requests: Math.floor(this.#best.profile.requests / 2) })));
    while (this.#best.profile.troubleMsMax > 100 && (await this.#set({ troubleMsMax: Math.floor(this.#best.profile.troubleMsMax / 2) })));
  }

  /** Each field by itself, of conditions first all and then each. */
  async #calmEach(): Promise<void> {
    const { voters, observers } = this.#best.profile
    const plain = calmProfile(voters.length, observers)
    for (const field of Object.keys(plain) as (keyof Profile)[]) {
      const value = plain[field]
      if (MEASURED.has(field) || isEqual(this.#best.profile[field], value)) continue
      if ((await this.#set({ [field]: value })) || Array.isArray(value) || typeof value !== 'object') continue
      for (const [inner, leaf] of Object.entries(value)) {
        const held = this.#best.profile[field] as unknown as Record<string, unknown>
        if (!isEqual(held[inner], leaf)) await this.#set({ [field]: { ...held, [inner]: leaf } })
      }
    }
  }

  async #shortenFaults(): Promise<void> {
    for (let i = 0; i < this.#best.faults.length && !this.#ended; i++) {
      const { faults } = this.#best
      await this.#try({ faults: faults.map((fault, j) => (j === i ? { ...fault, lastsMs: Math.max(1, Math.floor(fault.lastsMs / 2)) } : fault)) })
    }
  }

  #set(change: Partial<Profile>): Promise<boolean> {
    return this.#try({ profile: { ...this.#best.profile, ...change } })
  }

  /** Keeps the change if the same invariant breaks in a smaller run. */
  async #try({ profile = this.#best.profile, faults = this.#best.faults }: Partial<RunScript>): Promise<boolean> {
    const key = JSON.stringify([profile, faults])
    if (this.#ended || this.#tried.has(key)) return false
    if (this.#runs >= this.#bounds.runs || this.#bounds.goOn?.() === false) {
      this.#ended = true
      return false
    }
    this.#tried.add(key)
    const result = await this.#run({ profile, faults }, sizeOf(this.#best) - weightOf(profile, 0))
    if (result === null || sizeOf(result) >= sizeOf(this.#best)) return false
    this.#best = result
    return true
  }

  /** Null: the invariant holds, for so many steps at least. */
  async #run(script: { readonly profile: Profile; readonly faults: readonly FaultEvent[] }, stepsMax: number): Promise<RunResult | null> {
    if (stepsMax < 1) return null
    this.#runs++
    const result = await runSeed({ seed: this.#failed.seed, script, stepsMax })
    return result.violation?.invariant === this.#failed.violation!.invariant ? result : null
  }
}

function sizeOf({ steps, profile, faults }: RunResult): number {
  return steps + weightOf(profile, faults.length)
}

function weightOf(profile: Profile, faults: number): number {
  const { voters, observers, requests, troubleMsMax } = profile
  const plain = leavesOf(calmProfile(voters.length, observers))
  let unlike = 0
  for (const [name, value] of leavesOf(profile)) if (value !== plain.get(name) && !MEASURED.has(name)) unlike++
  const asked = requests * REQUEST_WEIGHT + (troubleMsMax / 1000) * SECOND_WEIGHT
  return faults * FAULT_WEIGHT + (voters.length + observers) * MEMBER_WEIGHT + unlike * SETTING_WEIGHT + asked
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
