import { refounded } from '@antiphon/replica'
import { type Backup, verifyBackup } from './backup.ts'
import { BackupReader } from './backup-reader.ts'
import { expectEqual } from './compare.ts'
import { lastEpoch } from './format.ts'
import { closing, type Founded, makeEnsemble, type NewEnsembleOptions, type NewMember, type Reading } from './new-ensemble.ts'

export interface Restored extends Founded {
  readonly backup: Backup
}

/**
 * Makes a backup into a new ensemble: a new ensemble id, new store ids, one founding record, and in every store the backup's state and history, all of which counts as committed. The
 * ensemble that was backed up and the new one take each other for strangers. The backup is read once before anything is written, and once for each member.
 *
 * When it throws, the stores are worth nothing: remove what is in them. They are closed in any case.
 * @throws AntiphonError INVALID_ARGUMENT, CORRUPT, VERSION_MISMATCH, and what the stores throw
 */
export function restore(source: () => AsyncIterable<Uint8Array>, members: readonly NewMember[], options: NewEnsembleOptions = {}): Promise<Restored> {
  return closing(members, async () => {
    const backup = await verifyBackup(source())
    const { chunks, chunkBytes, entries, last, checksum, snapshot } = backup
    const beginning = {
      former: backup.founding.configuration.members,
      epoch: lastEpoch(backup, backup),
      snapshot,
      last,
      checksum,
      async read(founding: Backup['founding']): Promise<Reading> {
        const reader = await BackupReader.open(source())
        return {
          chunks: refounded(reader.chunks(), founding),
          runs: reader.runs(),
          end: async () => expectEqual('the end of the backup', await reader.end(), { chunks, chunkBytes, entries, last, checksum }),
        }
      },
    }
    return { ...(await makeEnsemble(beginning, members, options)), backup }
  })
}
