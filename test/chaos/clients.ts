import { setTimeout as wait } from 'node:timers/promises'
import type { ListInput, ListOutput, Operation, RegisterInput, RegisterOutput, SeededRandom } from '@antiphon/simulator'
import type { Ensemble } from './ensemble.ts'
import type { ChaosRequest } from './machine.ts'
import type { Answer } from './protocol.ts'

const CLIENTS = 10
const THINK_MS_MAX = 10
const TIMEOUT_MS = 4000
/** Asking one that is stopped, which may answer of its past when it goes on. */
const ASK_PAUSED = 0.03
const READS = 0.35
const LOOKS = 0.1
const KEYS_OF_A_KIND = 3
/** Calls until new keys are taken: the judgement of one key is short. */
const CALLS_A_GENERATION = 400
/** Items that a register was told of and a swap may expect. */
const REMEMBERED = 8

export type Input = RegisterInput | ListInput
export type Output = RegisterOutput | ListOutput

export interface Recorded extends Operation<Input, Output> {
  readonly key: string
}

/** What a member held of a key, asked without waiting for any other. */
export interface Look {
  readonly member: number
  readonly key: string
  readonly values: readonly string[]
  /** Of those that this life of the member had shown or acknowledged when it was asked: how many there were at least, and the last that was acknowledged. */
  readonly atLeast: number
  readonly acknowledged: string | null
}

export interface History {
  /** Without reads that were not answered. */
  readonly operations: readonly Recorded[]
  readonly looks: readonly Look[]
  /** Values of changes that were rejected: they must not have happened. */
  readonly rejected: ReadonlySet<string>
}

/** What one life of a member has shown of a key. */
interface Shown {
  atLeast: number
  acknowledged: string | null
}

/** What clients asked, and what they were told. */
export class Clients implements History {
  readonly operations: Recorded[] = []
  readonly looks: Look[] = []
  readonly rejected: Set<string> = new Set()
  /** Answers by the role of whoever gave them. */
  readonly answers: Record<string, { changes: number; reads: number; looks: number }> = {}
  readonly #shown = new Map<string, Shown>()
  readonly #ensemble: Ensemble
  readonly #random: SeededRandom
  readonly #seen = new Map<string, string[]>()
  #calls = 0
  #stopped = false

  constructor(ensemble: Ensemble, random: SeededRandom) {
    this.#ensemble = ensemble
    this.#random = random
  }

  /** Resolves when all clients have ended, each with its last answer. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => this.#client(client + 1)))
  }

  stop(): void {
    this.#stopped = true
  }

  async #client(client: number): Promise<void> {
    const random = this.#random.fork(client)
    while (!this.#stopped) {
      await wait(random.between(0, THINK_MS_MAX))
      const paused = this.#ensemble.paused()
      const members = paused.length > 0 && random.chance(ASK_PAUSED) ? paused : this.#ensemble.running()
      if (members.length === 0) continue
      const generation = Math.floor(++this.#calls / CALLS_A_GENERATION)
      const key = `${random.pick(['l', 'r'])}${generation}-${random.below(KEYS_OF_A_KIND)}`
      const member = random.pick(members)
      const what = random.unit()
      if (what < READS) await this.#read(client, member, key)
      else if (what < READS + LOOKS) await this.#look(member, key)
      else await this.#change(client, member, key, this.#request(random, key, `c${client}.${this.#calls}`))
    }
  }

  #request(random: SeededRandom, key: string, value: string): ChaosRequest {
    if (key.startsWith('l')) return { kind: 'append', key, expected: null, value }
    const seen = this.#seen.get(key) ?? []
    const swap = random.chance(0.5)
    return { kind: swap ? 'swap' : 'write', key, expected: swap && seen.length > 0 ? (seen.at(-1) ?? null) : null, value }
  }

  async #read(client: number, member: number, key: string): Promise<void> {
    const invoked = performance.now()
    const answer = await this.#ensemble.call(member, { command: 'read', argument: { key, timeoutMs: TIMEOUT_MS } })
    if (!('value' in answer)) return
    this.#answersOf(answer.role).reads++
    this.operations.push(readOf(client, key, invoked, performance.now(), answer.value as readonly string[] | string | null))
    if (typeof answer.value === 'string') this.#remember(key, answer.value)
  }

  async #look(member: number, key: string): Promise<void> {
    const shown = this.#shownBy(member, key)
    if (shown === null) return
    const { atLeast, acknowledged } = shown
    const answer = await this.#ensemble.call(member, { command: 'look', argument: { key } })
    if (!('value' in answer)) return
    this.#answersOf(answer.role).looks++
    const values = answer.value as readonly string[]
    this.looks.push({ member, key, values, atLeast, acknowledged })
    shown.atLeast = Math.max(shown.atLeast, values.length)
  }

  async #change(client: number, member: number, key: string, request: ChaosRequest): Promise<void> {
    const { kind, value, expected } = request
    const input: Input = kind === 'append' ? { kind, item: value } : kind === 'swap' ? { kind, expected, value } : { kind, value }
    const shown = this.#shownBy(member, key)
    const invoked = performance.now()
    const answer: Answer = await this.#ensemble.call(member, { command: 'propose', argument: { request, timeoutMs: TIMEOUT_MS } })
    const now = performance.now()
    if ('value' in answer) {
      this.#answersOf(answer.role).changes++
      const { length, done } = answer.value as { length?: number; done?: boolean }
      if (shown !== null && length !== undefined) shown.atLeast = Math.max(shown.atLeast, length)
      if (shown !== null && done !== false) shown.acknowledged = value
      this.operations.push({ client, key, invoked, returned: now, input, output: answer.value as Output })
      if (kind !== 'append') this.#remember(key, value)
    } else if (answer.outcome === 'rejected') this.rejected.add(value)
    else {
      this.operations.push({ client, key, invoked, returned: answer.outcome === 'applied' ? now : Number.POSITIVE_INFINITY, input, output: null })
    }
  }

  /** Null of a member that is not there. Kept by whoever asks, so that what comes of one life is never held against the next. */
  #shownBy(member: number, key: string): Shown | null {
    const life = this.#ensemble.lifeOf(member)
    if (life === null) return null
    const name = `${life} ${key}`
    const shown = this.#shown.get(name) ?? { atLeast: 0, acknowledged: null }
    this.#shown.set(name, shown)
    return shown
  }

  #answersOf(role: string): { changes: number; reads: number; looks: number } {
    this.answers[role] ??= { changes: 0, reads: 0, looks: 0 }
    return this.answers[role]
  }

  #remember(key: string, value: string): void {
    const seen = this.#seen.get(key) ?? []
    if (seen.length === 0) this.#seen.set(key, seen)
    if (seen.push(value) > REMEMBERED) seen.shift()
  }
}

export function readOf(client: number, key: string, invoked: number, returned: number, value: readonly string[] | string | null): Recorded {
  const output: Output = key.startsWith('l') ? { items: (value ?? []) as readonly string[] } : { value: value as string | null }
  return { client, key, invoked, returned, input: { kind: 'read' }, output }
}
