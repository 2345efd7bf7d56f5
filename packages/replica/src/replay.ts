import { entryKind, entryLength, entryMachine, KIND_REFUSAL, payloadEnd, payloadStart, type Run, SHELL_MACHINE } from '@antiphon/consensus-core'
import { AntiphonError, corrupt, type Millis, type SnapshotMeta, ZERO, type Zxid } from '@antiphon/ports'
import { MachineBatch } from './batch.ts'
import { decodeDeclaration } from './declaration.ts'
import { type AnyMachine, namedMachines } from './settings.ts'
import { machinesOf, SHELL_CHUNKS, Unpacker } from './snapshot-format.ts'

/** A history: its newest snapshot, and all that is behind it. */
export interface History {
  readonly snapshot: { readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } | null
  /** Read when the chunks have been. */
  readonly runs: AsyncIterable<Run>
}

/** Of each machine, in order: the name in the settings, its own name, its version. */
export type MachinesHeld = readonly (readonly [string, string, number])[]

export interface Replayed {
  /** The state is as of it. */
  readonly zxid: Zxid
  /** Of the entry there; 0 when there is none. */
  readonly time: Millis
}

/** Where the changes of a history's machine go: null, to nobody. */
interface Place {
  readonly machine: AnyMachine
  readonly batch: MachineBatch
}

/**
 * Brings a history into machines that are new, without an ensemble: to look at a state, or to take it elsewhere. By the names that they have there; those of the history's machines that are not named are
 * passed over.
 * @throws AntiphonError CORRUPT; INVALID_SETTINGS; VERSION_MISMATCH when the history has no such machine; and what the machines throw, after which they are worth nothing
 */
export async function replay({ snapshot, runs }: History, machines: Readonly<Record<string, AnyMachine>>): Promise<Replayed> {
  const named = namedMachines(machines, ['apply', 'restore'])
  let places: readonly (Place | null)[] | null = null
  let zxid: Zxid = ZERO
  let time = 0
  if (snapshot !== null) {
    const { meta } = snapshot
    const packets = snapshot.chunks[Symbol.asyncIterator]()
    const first = await packets.next()
    if (first.done === true) throw corrupt('a snapshot is empty', { zxid: meta.zxid })
    places = placesIn(machinesOf(first.value), named)
    const unpacker = new Unpacker(packets)
    await unpacker.skip(SHELL_CHUNKS)
    for (const [index, place] of places.entries()) {
      if (place !== null) await place.machine.restore(meta.zxid, unpacker.chunksOf(index + 1))
      await unpacker.skip(index + 1)
    }
    await unpacker.expectEnd()
    zxid = meta.zxid
    time = meta.time
  }
  for await (const run of runs) {
    places ??= placesIn(declaredIn(run), named)
    applyRun(run, places)
    zxid = run.last
    time = run.time
  }
  return { zxid, time }
}

/** The machines that a history is of; none of the empty one. Reads no more than its first chunk, or run. @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export async function machinesIn({ snapshot, runs }: History): Promise<MachinesHeld> {
  if (snapshot !== null) for await (const chunk of snapshot.chunks) return machinesOf(chunk)
  for await (const run of runs) return declaredIn(run)
  return []
}

function placesIn(held: MachinesHeld, named: readonly { readonly name: string; readonly machine: AnyMachine }[]): (Place | null)[] {
  for (const { name, machine } of named) {
    if (held.some(([key, own, version]) => key === name && own === machine.name && version === machine.version)) continue
    throw new AntiphonError(
      'VERSION_MISMATCH',
      `the history holds the machines ${JSON.stringify(held)}, and not ${JSON.stringify([name, machine.name, machine.version])}`,
      {
        remedy: 'Give the machines by the names, their own names and the versions that the history was made with.',
      },
    )
  }
  return held.map(([key]) => {
    const machine = named.find(({ name }) => name === key)?.machine
    return machine === undefined ? null : { machine, batch: new MachineBatch() }
  })
}

/** The first entry of a history says which machines it is for. */
function declaredIn({ bytes }: Run): MachinesHeld {
  const text = entryMachine(bytes, 0) === SHELL_MACHINE ? decodeDeclaration(bytes, payloadStart(0), payloadEnd(bytes, 0)) : null
  if (text === null) throw corrupt('a history does not say which machines it is for')
  return JSON.parse(text)
}

function applyRun({ bytes }: Run, places: readonly (Place | null)[]): void {
  for (const place of places) place?.batch.begin(bytes)
  for (let at = 0; at < bytes.length; at += entryLength(bytes, at)) {
    const machine = entryMachine(bytes, at)
    if (machine > places.length) throw corrupt(`an entry is for machine ${machine}, of ${places.length}`)
    if (machine !== SHELL_MACHINE && entryKind(bytes, at) !== KIND_REFUSAL) places[machine - 1]?.batch.add(at, 0)
  }
  for (const place of places) if (place !== null && place.batch.length > 0) place.machine.apply(place.batch)
}
