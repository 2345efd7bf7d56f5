import { AntiphonError, corrupt, formatZxid, type SnapshotMeta, type StoreId, type Zxid } from '@antiphon/ports'
import type { CheckedDisk } from '../disk.ts'
import { corruptAt } from '../errors.ts'
import type { SnapshotPosition } from '../frames.ts'
import { SnapshotReader } from './files.ts'
import { snapshotName } from './names.ts'

export interface DamagedSnapshot {
  readonly name: string
  readonly error: AntiphonError
}

const READ_BYTES = 1024 * 1024
/** A disk may once give what stands in another place. */
const READINGS = 2

/** The newest of `snapshots` (ascending) all of which is as it was written, and the newer ones, newest first. @throws AntiphonError VERSION_MISMATCH, DISK_FAILED */
export function newestSound(
  disk: CheckedDisk,
  snapshots: readonly Zxid[],
  storeId: StoreId,
  generation: number,
): { readonly meta: SnapshotMeta | null; readonly damaged: readonly DamagedSnapshot[] } {
  const damaged: DamagedSnapshot[] = []
  for (const zxid of snapshots.toReversed()) {
    const name = snapshotName(generation, zxid)
    for (let reading = 1; ; reading++) {
      try {
        return { meta: readWhole(disk, name, zxid, storeId, generation), damaged }
      } catch (error) {
        if (!(error instanceof AntiphonError) || error.code !== 'CORRUPT') throw error
        if (reading < READINGS) continue
        damaged.push({ name, error })
        break
      }
    }
  }
  return { meta: null, damaged }
}

function readWhole(disk: CheckedDisk, name: string, zxid: Zxid, storeId: StoreId, generation: number): SnapshotMeta {
  const reader = new SnapshotReader(disk, name, storeId, generation)
  try {
    if (reader.meta.zxid !== zxid) throw corruptAt(name, 0, 'the head is of another snapshot')
    for (let position: SnapshotPosition | null = reader.begin; position !== null; ) position = reader.read(position, READ_BYTES).next
    return reader.meta
  } finally {
    reader.close()
  }
}

/** The log does not reach back to any other snapshot. */
export function noOtherSnapshot(damaged: readonly DamagedSnapshot[]): AntiphonError {
  const { message, details } = damaged[0]!.error
  const others = damaged.slice(1).map(({ error }) => ({ ...error.details, what: error.message }))
  return corrupt(`${message}; no older snapshot holds to which the log reaches back`, { ...details, others })
}

/** The store was opened without it. */
export function passedOver({ name, error }: DamagedSnapshot, instead: Zxid | null): AntiphonError {
  const { message, details } = error
  return new AntiphonError(
    'CORRUPT',
    `${message}; the store went on from ${instead === null ? 'the beginning of its log' : `the snapshot at ${formatZxid(instead)}`}`,
    {
      remedy: `Nothing is lost: the log has everything behind that. Examine the disk; ${name} is removed when the next snapshot is there.`,
      details,
    },
  )
}
