import { AntiphonError, type LogStore, type Transport } from '@antiphon/ports'
import { type Machines, Replica, type ReplicaSettings } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { tcpTransport } from '@antiphon/transport-tcp'

/** Those of `Replica.start`, with a folder and TCP where it wants a store and a transport. */
export interface StartSettings<M extends Machines> extends Omit<ReplicaSettings, 'machines' | 'storage' | 'transport'> {
  /** Agreed: names, versions and their order. A machine belongs to one replica. */
  readonly machines: M
  /** This member's files: a folder of its own, on a disk that keeps them. Made if it is not there. */
  readonly folder?: string
  /** Where to listen, `host:port`, if that is not where the others dial: behind a container's or a cloud's address, say `0.0.0.0:7001`. */
  readonly listen?: string
  /** Instead of files in `folder`. */
  readonly storage?: LogStore
  /** Instead of TCP. */
  readonly transport?: Transport
}

/**
 * Starts this process's member of the ensemble. Resolves when its files are recovered and it listens; `replica.ready()` waits for the ensemble.
 * @throws AntiphonError INVALID_SETTINGS, FOLDER_IN_USE, FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FULL, DISK_FAILED, or because it can not listen
 */
export function start<const M extends Machines>(settings: StartSettings<M>): Promise<Replica<M>> {
  try {
    const { folder, listen, storage, transport, ...rest } = settings
    return Replica.start<M>({ ...rest, storage: storage ?? filesIn(folder), transport: transport ?? tcpTransport({ listen: listen ?? ownAddress(settings) }) })
  } catch (error) {
    return Promise.reject(error)
  }
}

function filesIn(folder: string | undefined): LogStore {
  if (folder === undefined) throw invalidSettings('`folder` is missing', 'Name a folder for the files of this member, one for each.')
  return fileStorage({ folder })
}

function ownAddress({ id, members }: Pick<ReplicaSettings, 'id' | 'members'>): string {
  const member = typeof members === 'object' && members !== null ? members[id] : undefined
  const address = typeof member === 'string' ? member : member?.address
  if (address === undefined)
    throw invalidSettings(
      `member ${id} is not among the ensemble's members`,
      'List every member, this one included: { 1: "host:port", 2: "host:port", 3: "host:port" }.',
    )
  return address
}

function invalidSettings(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}
