import { SeededRandom } from '../random.ts'

/** What a machine must not look at, under the names by which it would. */
interface Host {
  Date: DateConstructor
  readonly Math: { random(): number }
  readonly performance: { now(): number }
}

const host = globalThis as unknown as Host

/** The time and the chance that one machine finds on its host: another one finds others. */
export class HostTime {
  readonly #wall: number
  readonly #random: SeededRandom
  #looked = 0

  /** `wall`: Unix milliseconds. */
  constructor(wall: number, seed: number) {
    this.#wall = Math.floor(wall)
    this.#random = new SeededRandom(seed, 77)
  }

  /** Goes on a little with each look. */
  wall(): number {
    return this.#wall + this.#looked++
  }

  unit(): number {
    return this.#random.unit()
  }
}

let current: HostTime | null = null
let depth = 0
let takeBack: () => void = () => undefined

/** Calls `work` while `Date`, `Math.random` and `performance.now` are those of `time`. */
export function under<T>(time: HostTime, work: () => T): T {
  const before = enter(time)
  try {
    return work()
  } finally {
    leave(before)
  }
}

/** The same until what `work` promises has settled. */
export async function underUntil<T>(time: HostTime, work: () => Promise<T>): Promise<T> {
  const before = enter(time)
  try {
    return await work()
  } finally {
    leave(before)
  }
}

function enter(time: HostTime): HostTime | null {
  if (depth++ === 0) takeBack = install()
  const before = current
  current = time
  return before
}

function leave(before: HostTime | null): void {
  current = before
  if (--depth === 0) takeBack()
}

function install(): () => void {
  const { Date: date, Math: math, performance } = host
  const { random } = math
  const now = Object.getOwnPropertyDescriptor(performance, 'now')
  const begun = performance.now()
  host.Date = new Proxy(date, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 && current !== null ? [current.wall()] : args, newTarget) as object,
    apply: (target) => (current === null ? target() : new target(current.wall()).toString()),
    get: (target, name) => (name === 'now' ? () => current?.wall() ?? target.now() : (Reflect.get(target, name) as unknown)),
  })
  math.random = () => current?.unit() ?? random()
  Object.defineProperty(performance, 'now', { configurable: true, writable: true, value: () => (current === null ? begun : current.wall() % 1e9) })
  return () => {
    host.Date = date
    math.random = random
    if (now === undefined) Reflect.deleteProperty(performance, 'now')
    else Object.defineProperty(performance, 'now', now)
  }
}
