import {
  type Configuration,
  type EnsembleId,
  invalidArgument,
  type LogStore,
  type Member,
  peerId,
  type Random,
  randomId,
  type StoredState,
  type StoreId,
  systemRandom,
  ZERO,
} from '@antiphon/ports'
import { refounded } from '@antiphon/replica'
import { type Backup, verifyBackup } from './backup.ts'
import { BackupReader } from './backup-reader.ts'
import { expectEqual } from './compare.ts'
import { fill } from './fill.ts'
import { lastEpoch } from './format.ts'
import { isEmpty } from './source.ts'

/** A member of the ensemble that is made. */
export interface RestoreMember {
  /** 1 to 255. */
  readonly id: number
  /** New and closed; closed afterwards. */
  readonly store: LogStore
  /** What is not told here is as the backup has it for this id; else a voter of weight 1 in group 0. */
  readonly role?: 'voter' | 'observer'
  readonly weight?: number
  readonly group?: number
}

export interface RestoreOptions {
  /** Ids are drawn from it. The host's own unless told. */
  readonly random?: Random
}

export interface RestoredMember {
  readonly id: number
  readonly role: 'voter' | 'observer'
  readonly storeId: StoreId
}

export interface Restored {
  readonly ensembleId: EnsembleId
  readonly members: readonly RestoredMember[]
  readonly backup: Backup
}

/**
 * Makes a backup into a new ensemble: a new ensemble id, new store ids, one founding record, and in every store the backup's state and history, all of which counts as committed. The
 * ensemble that was backed up and the new one take each other for strangers. The backup is read once before anything is written, and once for each member.
 *
 * When it throws, the stores are worth nothing: remove what is in them. They are closed in any case.
 * @throws AntiphonError INVALID_ARGUMENT, CORRUPT, VERSION_MISMATCH, and what the stores throw
 */
export async function restore(
  source: () => AsyncIterable<Uint8Array>,
  members: readonly RestoreMember[],
  { random = systemRandom() }: RestoreOptions = {},
): Promise<Restored> {
  const ensembleId = randomId(random)
  const placed = members.map((member) => ({ ...member, storeId: randomId(random) }))
  try {
    const backup = await verifyBackup(source())
    const configuration = configurationOf(placed, backup.founding.configuration)
    const founding = { ensembleId, configuration }
    const epoch = lastEpoch(backup, backup)
    const epochs = { accepted: epoch, acceptedFrom: null, current: epoch }
    for (const { id, store, storeId } of placed) expectNew(id, storeId, await store.open(storeId))
    for (const { store, storeId } of placed) {
      const reader = await BackupReader.open(source())
      const { snapshot } = reader.head
      await fill(store, {
        founding,
        epochs,
        snapshot: snapshot === null ? null : { meta: snapshot, chunks: refounded(reader.chunks(), founding) },
        runs: reader.runs(),
      })
      expectEqual('the end of the backup', await reader.end(), { ...pick(backup) })
      await store.close()
      const { log, ...state } = await store.open(storeId)
      expectEqual('what was restored', { ...state, last: log.last, checksum: log.checksum }, { storeId, founding, epochs, snapshot, ...place(backup) })
    }
    return { ensembleId, members: placed.map(({ id, storeId }) => ({ id, role: roleOf(configuration, id), storeId })), backup }
  } finally {
    for (const { store } of placed) await store.close()
  }
}

function pick({ chunks, chunkBytes, entries, last, checksum }: Backup): object {
  return { chunks, chunkBytes, entries, last, checksum }
}

function place({ last, checksum }: Backup): object {
  return { last, checksum }
}

function roleOf(configuration: Configuration, id: number): 'voter' | 'observer' {
  return configuration.members.find((member) => member.id === id)!.role
}

function configurationOf(placed: readonly (RestoreMember & { readonly storeId: StoreId })[], backedUp: Configuration): Configuration {
  const members = placed.map((member): Member => {
    const id = peerId(member.id)
    const before = backedUp.members.find((other) => other.id === id)
    const role = member.role ?? before?.role ?? 'voter'
    const { weight = before?.role === role ? before.weight : role === 'voter' ? 1 : 0, group = before?.group ?? 0 } = member
    if (!isCount(weight) || !isCount(group)) throw invalidArgument(`member ${id} has a weight or a group that is no count`, 'Give integers, 0 or more.')
    return { id, role, weight, group, storeId: role === 'voter' ? member.storeId : null }
  })
  members.sort((a, b) => a.id - b.id)
  for (const [i, { id }] of members.entries()) {
    if (id === members[i + 1]?.id) throw invalidArgument(`member ${id} is named twice`, 'Give each member an id of its own.')
  }
  if (!members.some(({ role, weight }) => role === 'voter' && weight > 0))
    throw invalidArgument('the new ensemble would have no voter with a weight', 'Name at least one member that votes.')
  return { version: ZERO, members }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function expectNew(id: number, storeId: StoreId, state: StoredState): void {
  if (state.storeId === storeId && isEmpty(state)) return
  throw invalidArgument(`the store for member ${id} is not new: it is store ${state.storeId}`, 'Restore into new, empty stores.')
}
