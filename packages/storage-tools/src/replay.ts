import { type Snapshot, ZERO } from '@antiphon/ports'
import { type AnyMachine, type History, type MachinesHeld, machinesIn, type Replayed, replay } from '@antiphon/replica'
import { BackupReader } from './backup-reader.ts'
import { runsBehind, type Source, withSnapshot } from './source.ts'

/**
 * Brings what a store holds into new machines, without starting anything: newest snapshot, and every entry behind it, committed or not yet. Machines by the names in the settings of its replicas; those
 * that are not given are passed over.
 * @throws AntiphonError CORRUPT; INVALID_SETTINGS; VERSION_MISMATCH when it holds no such machine; what the source and the machines throw. The machines are worth nothing then.
 */
export function replayStore(source: Source, machines: Readonly<Record<string, AnyMachine>>): Promise<Replayed> {
  return withSnapshot(source, (snapshot) => replay(historyOf(source, snapshot), machines))
}

/** The machines that a store's history is of, as its replicas' settings name them; none when nothing was written. @throws AntiphonError CORRUPT, VERSION_MISMATCH, and what the source throws */
export function machinesOfStore(source: Source): Promise<MachinesHeld> {
  return withSnapshot(source, (snapshot) => machinesIn(historyOf(source, snapshot)))
}

function historyOf(source: Source, snapshot: Snapshot | null): History {
  const runs = runsBehind(source, snapshot?.meta.zxid ?? ZERO, source.state.log.last)
  return { snapshot: snapshot === null ? null : { meta: snapshot.meta, chunks: snapshot.chunks() }, runs }
}

/** The same of a backup, which is read once. */
export async function replayBackup(bytes: AsyncIterable<Uint8Array>, machines: Readonly<Record<string, AnyMachine>>): Promise<Replayed> {
  const reader = await BackupReader.open(bytes)
  const { snapshot } = reader.head
  const chunks = reader.chunks()
  // Of a backup without a snapshot there are none, and asking says so.
  if (snapshot === null) for await (const _ of chunks);
  const replayed = await replay({ snapshot: snapshot === null ? null : { meta: snapshot, chunks }, runs: reader.runs() }, machines)
  await reader.end()
  return replayed
}
