import { type ImmerState, immerState } from '@antiphon/immer-state'
import type { LogStore, Random, StoredState } from '@antiphon/ports'
import { type MemberSettings, Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { onTestFinished } from 'vitest'

interface Notes {
  notes: string[]
}

export type NotesMachine = ImmerState<Notes, { note: (state: Notes, text: string) => number }>

export interface Running {
  readonly replica: Replica
  readonly machine: NotesMachine
}

function notesMachine(): NotesMachine {
  return immerState({ initial: { notes: [] } as Notes, actions: { note: (state: Notes, text: string) => state.notes.push(text) } })
}

export interface StartOptions {
  readonly observers?: readonly number[]
  readonly snapshotEveryEntries?: number
}

let started = 0

/** Draws the same always, and every replica something else: its snapshots come after three quarters of the interval. */
function steady(): Random {
  const drawn = 2 ** 31 + started++
  return { uint32: () => drawn }
}

/** One ensemble on these stores, in this process, ready; closed with the test. */
export async function startOn(
  stores: ReadonlyMap<number, LogStore>,
  { observers = [], snapshotEveryEntries = 100_000 }: StartOptions = {},
): Promise<Running[]> {
  const network = new MemoryNetwork()
  const members: Record<number, MemberSettings> = {}
  for (const id of stores.keys()) members[id] = { address: `member-${id}`, role: observers.includes(id) ? 'observer' : 'voter' }
  const running: Running[] = []
  for (const [id, storage] of stores) {
    const machine = notesMachine()
    const transport = network.transport(`member-${id}`)
    const random = steady()
    const replica = await Replica.start({ id, members, storage, transport, machines: { notes: machine }, tickMs: 20, snapshotEveryEntries, random })
    onTestFinished(() => replica.close())
    running.push({ replica, machine })
  }
  await Promise.all(running.map(({ replica }) => replica.ready()))
  return running
}

export async function closeAll(running: readonly Running[]): Promise<void> {
  await Promise.all(running.map(({ replica }) => replica.close()))
}

/** An ensemble of three that has taken `texts`; closed again. */
export async function written(stores: ReadonlyMap<number, LogStore>, texts: readonly string[], options: StartOptions = {}): Promise<void> {
  const running = await startOn(stores, options)
  for (const text of texts) await running[0]!.machine.dispatch.note(text)
  await Promise.all(running.map(({ replica }) => replica.read('linearizable')))
  await closeAll(running)
}

export function numbered(count: number, prefix = 'note'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix} ${i}`)
}

/** An id for stores that have none yet. */
export const FRESH = 'f'.repeat(32)

/** New stores in memory, by the ids of members. */
export function stores(...ids: number[]): Map<number, LogStore> {
  return new Map(ids.map((id) => [id, memoryStorage()]))
}

/** What a store holds; closed again. */
export async function opened(store: LogStore): Promise<StoredState> {
  const state = await store.open(FRESH)
  await store.close()
  return state
}
