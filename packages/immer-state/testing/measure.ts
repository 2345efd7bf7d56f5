/** The figures of the README: `NODE_ENV=production npx tsx --conditions=@antiphon/source packages/immer-state/testing/measure.ts`. CPU time, so that a busy machine hardly shows. */
import { immerState, mutableState, Table } from '../src/index.ts'
import { batchOf, contextOf } from './harness.ts'

interface Machine {
  encodeRequest(request: { action: string; payload: unknown }): Uint8Array
  prepare?(request: Uint8Array, context: ReturnType<typeof contextOf>): Uint8Array
  apply(batch: ReturnType<typeof batchOf>): readonly unknown[]
}

const BATCH = 20

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

function measure(create: () => Machine, requests: number): { leader: number; follower: number } {
  const [leader, follower] = [create(), create()]
  const context = contextOf()
  const spent = { leader: 0, follower: 0 }
  for (let round = 0; round < 2; round++) {
    spent.leader = 0
    spent.follower = 0
    for (let i = 0; i < requests; i += BATCH) {
      const encoded = Array.from({ length: BATCH }, (_, k) => leader.encodeRequest({ action: 'bump', payload: `key${(i + k) * 7919}` }))
      let from = cpuMicros()
      const changes = encoded.map((request) => leader.prepare?.(request, context) ?? request)
      const batch = batchOf(changes)
      leader.apply(batch)
      spent.leader += cpuMicros() - from
      from = cpuMicros()
      follower.apply(batchOf(changes, 1, false))
      spent.follower += cpuMicros() - from
    }
  }
  return { leader: spent.leader / requests, follower: spent.follower / requests }
}

const names = (width: number): string[] => Array.from({ length: width }, (_, i) => `key${i}`)
const keyOf = (payload: string, width: number): string => `key${Number(payload.slice(3)) % width}`

for (const [width, requests] of [
  [10, 100_000],
  [1000, 4000],
  [10_000, 400],
] as const) {
  const object = () =>
    immerState({
      initial: Object.fromEntries(names(width).map((name, i) => [name, i])),
      actions: {
        bump(state, payload: string) {
          const key = keyOf(payload, width)
          state[key] = (state[key] ?? 0) + 1
        },
      },
    })
  const map = () =>
    immerState({
      initial: new Map(names(width).map((name, i) => [name, i])),
      actions: {
        bump(state, payload: string) {
          const key = keyOf(payload, width)
          state.set(key, (state.get(key) ?? 0) + 1)
        },
      },
    })
  const buckets = Math.ceil(Math.sqrt(width))
  const nested = () =>
    immerState({
      initial: Array.from({ length: buckets }, (_, bucket) => new Map(names(width).flatMap((name, i) => (i % buckets === bucket ? [[name, i] as const] : [])))),
      actions: {
        bump(state, payload: string) {
          const key = keyOf(payload, width)
          const bucket = state[Number(key.slice(3)) % buckets]!
          bucket.set(key, (bucket.get(key) ?? 0) + 1)
        },
      },
    })
  const table = () =>
    mutableState({
      create: () => names(width).reduce((all, name, i) => all.set(name, i), new Table<number>()),
      actions: {
        bump(all, payload: string) {
          const key = keyOf(payload, width)
          all.set(key, (all.get(key) ?? 0) + 1)
        },
      },
    })
  for (const [name, create] of Object.entries({ object, map, nested, table })) {
    const { leader, follower } = measure(create, requests)
    console.log(
      `${String(width).padStart(6)} keys  ${name.padEnd(7)} leader ${leader.toFixed(1).padStart(8)} us   follower ${follower.toFixed(1).padStart(8)} us`,
    )
  }
}
