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
    if (typeof settings !== 'object' || settings === null) throw invalidSettings('the settings are missing', 'Pass { id, members, folder, machines }.')
    const { folder, listen, storage, transport, ...rest } = settings
    expectMember(rest)
    return Replica.start<M>({ ...rest, storage: storage ?? filesIn(folder), transport: transport ?? tcpTransport({ listen: listen ?? addressOf(rest) }) })
  } catch (error) {
    return Promise.reject(error)
  }
}

function filesIn(folder: string | undefined): LogStore {
  if (folder === undefined) throw invalidSettings('`folder` is missing', 'Name a folder for the files of this member, one for each.')
  return fileStorage({ folder })
}

const LIST_ALL = 'List every member, this one included: { 1: "host:port", 2: "host:port", 3: "host:port" }.'

function expectMember({ id, members }: Pick<ReplicaSettings, 'id' | 'members'>): void {
  if (typeof id !== 'number' || !Number.isInteger(id)) {
    throw invalidSettings(`\`id\` is ${id === undefined ? 'missing' : JSON.stringify(id)}, not an integer`, 'Give this member a number of its own, 1 to 255.')
  }
  if (typeof members !== 'object' || members === null || Array.isArray(members)) throw invalidSettings('`members` is not an object of members by id', LIST_ALL)
  if (!Object.hasOwn(members, id)) throw invalidSettings(`member ${id} is not among \`members\``, LIST_ALL)
  const seen = new Map<string, string>()
  const alone = Object.keys(members).length === 1
  for (const other of Object.keys(members)) {
    const address = addressOf({ id: Number(other), members })
    if (/:0*$/.test(address) && !alone) throw invalidSettings(`member ${other} has the port 0, where nobody can dial it`, 'Give each member a port of its own.')
    const twin = seen.get(address)
    if (twin !== undefined) throw invalidSettings(`members ${twin} and ${other} have the same address, ${address}`, 'Give each member an address of its own.')
    seen.set(address, other)
  }
}

function addressOf({ id, members }: Pick<ReplicaSettings, 'id' | 'members'>): string {
  const member = members[id]
  const address = typeof member === 'string' ? member : member?.address
  if (typeof address !== 'string' || address === '') throw invalidSettings(`member ${id} has no \`address\``, LIST_ALL)
  return address
}

function invalidSettings(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}
