import {
  type Checksum,
  counterOf,
  EPOCH_MAX,
  epochOf,
  type Founding,
  formatZxid,
  invalidArgument,
  isZxid,
  type Millis,
  type Run,
  type SnapshotMeta,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { firstSnapshot, type MachineState } from '@antiphon/replica'
import { crc32 } from '@antiphon/wire'
import { closing, type Founded, makeEnsemble, type NewEnsembleOptions, type NewMember, type Reading } from './new-ensemble.ts'

/** A state that was not made by an ensemble of ours, or not by entries that there still are. */
export interface FirstState {
  /** Where the history begins that it stands for: an epoch and a counter of 1 or more. What the ensemble writes has a later epoch. */
  readonly zxid: Zxid
  /** Unix time: that in entries does not go below it. 0 unless told. */
  readonly time?: Millis
  /** By the names and in the order of the replicas' settings. `snapshot` is asked once more than there are members, and gives the same bytes each time. */
  readonly machines: Readonly<Record<string, MachineState>>
}

const NOBODYS: Founding = { ensembleId: '0'.repeat(32), configuration: { version: ZERO, members: [] } }

/**
 * Makes a state into a new ensemble, as `restore` does with a backup: a new ensemble id, new store ids, one founding record, and in every store one snapshot, which counts as committed.
 *
 * When it throws, the stores are worth nothing: remove what is in them. They are closed in any case.
 * @throws AntiphonError INVALID_ARGUMENT, INVALID_SETTINGS (the machines), CORRUPT, and what the stores and the machines throw
 */
export function found({ zxid, time = 0, machines }: FirstState, members: readonly NewMember[], options: NewEnsembleOptions = {}): Promise<Founded> {
  return closing(members, async () => {
    if (!isZxid(zxid) || epochOf(zxid) < 1 || counterOf(zxid) < 1)
      throw invalidArgument(`no history begins at ${isZxid(zxid) ? formatZxid(zxid) : String(zxid)}`, 'Give a ZXID whose epoch and counter are 1 or more.')
    if (epochOf(zxid) >= EPOCH_MAX)
      throw invalidArgument(`there would be no epoch behind ${formatZxid(zxid)}: the last is ${EPOCH_MAX}`, 'Give a ZXID of an earlier epoch.')
    if (!Number.isSafeInteger(time) || time < 0) throw invalidArgument(`${time} is no time`, 'Give Unix milliseconds, an integer.')
    const metaOf = (checksum: Checksum): SnapshotMeta => ({ zxid, checksum, endPoints: [{ epoch: epochOf(zxid), last: zxid, checksum }], time })
    const checksum = checksumOf(firstSnapshot(NOBODYS, metaOf(0), machines))
    const snapshot = metaOf(checksum)
    const beginning = {
      former: [],
      epoch: epochOf(zxid),
      snapshot,
      last: zxid,
      checksum,
      read: async (founding: Founding): Promise<Reading> => ({
        chunks: streamed(firstSnapshot(founding, snapshot, machines)),
        runs: nothing(),
        end: async () => {},
      }),
    }
    return makeEnsemble(beginning, members, options)
  })
}

/** There are no entries for a history's checksum to be of: it begins with that of the state, without the head, which tells it. */
function checksumOf(chunks: Iterable<Uint8Array>): Checksum {
  let checksum: Checksum | null = null
  for (const chunk of chunks) checksum = checksum === null ? 0 : crc32(chunk, checksum)
  return checksum ?? 0
}

async function* streamed(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}

async function* nothing(): AsyncGenerator<Run, void, undefined> {}
