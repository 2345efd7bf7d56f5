import { type ImmerState, immerState } from 'antiphon'

export interface Write {
  /** From 1 up: by it, what is lost or doubled is found at the end. */
  readonly id: number
  readonly name: string
  readonly record: unknown
}

export interface RegistryState {
  /** How many writes were applied. */
  writes: number
  /** By bucket, then by name: a small Map is copied with each write, not a large one. */
  packages: Map<number, Map<string, { record: unknown; writes: number; at: number }>>
  /** By a 256th of the id, then by id: how many times the write was applied. */
  times: Map<number, Map<number, number>>
}

type Actions = {
  put(state: RegistryState, write: Write, context: { readonly time: number }): number
}

export type Registry = ImmerState<RegistryState, Actions>

/** The replicated state. The leader runs `put`; what it changed is what every replica applies. */
export function createRegistry(): Registry {
  const initial: RegistryState = { writes: 0, packages: new Map(), times: new Map() }
  return immerState<RegistryState, Actions>({
    name: 'registry',
    initial,
    actions: {
      put(state, { id, name, record }, { time }) {
        const packages = inner(state.packages, bucketOf(name))
        packages.set(name, { record, writes: (packages.get(name)?.writes ?? 0) + 1, at: time })
        const times = inner(state.times, Math.floor(id / 256))
        times.set(id, (times.get(id) ?? 0) + 1)
        state.writes++
        return state.writes
      },
    },
  })
}

function inner<Key, Value>(maps: Map<number, Map<Key, Value>>, bucket: number): Map<Key, Value> {
  if (!maps.has(bucket)) maps.set(bucket, new Map())
  return maps.get(bucket)!
}

function bucketOf(name: string): number {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) >>> 0
  return hash % 256
}

export interface Audit {
  /** Acknowledged, and not in the state. */
  readonly lost: number
  /** Applications beyond the first, of any write. */
  readonly doubled: number
  /** The counter says what the ids say. */
  readonly counterHolds: boolean
}

/** `acknowledged`: ranges of ids, both ends included. */
export function audit(state: Registry['state'], acknowledged: readonly (readonly [number, number])[]): Audit {
  let applied = 0
  let doubled = 0
  for (const times of state.times.values()) {
    for (const count of times.values()) {
      applied += count
      doubled += count - 1
    }
  }
  let lost = 0
  for (const [first, last] of acknowledged) {
    for (let id = first; id <= last; id++) if (state.times.get(Math.floor(id / 256))?.get(id) === undefined) lost++
  }
  return { lost, doubled, counterHolds: applied === state.writes }
}
