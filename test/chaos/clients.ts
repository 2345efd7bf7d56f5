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

/** What clients asked, and what they were told. Without what was rejected, which must not have happened, and without reads that were not answered. */
export class Clients {
  readonly operations: Recorded[] = []
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
      if (random.chance(0.4)) await this.#read(client, member, key)
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
    this.operations.push(readOf(client, key, invoked, performance.now(), answer.value as readonly string[] | string | null))
    if (typeof answer.value === 'string') this.#remember(key, answer.value)
  }

  async #change(client: number, member: number, key: string, request: ChaosRequest): Promise<void> {
    const { kind, value, expected } = request
    const input: Input = kind === 'append' ? { kind, item: value } : kind === 'swap' ? { kind, expected, value } : { kind, value }
    const invoked = performance.now()
    const answer: Answer = await this.#ensemble.call(member, { command: 'propose', argument: { request, timeoutMs: TIMEOUT_MS } })
    const now = performance.now()
    if ('value' in answer) {
      this.operations.push({ client, key, invoked, returned: now, input, output: answer.value as Output })
      if (kind !== 'append') this.#remember(key, value)
    } else if (answer.outcome !== 'rejected') {
      this.operations.push({ client, key, invoked, returned: answer.outcome === 'applied' ? now : Number.POSITIVE_INFINITY, input, output: null })
    }
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
