import { AntiphonError, type LogStore, type Transport } from '@antiphon/ports'
import { type Machines, Replica, type ReplicaSettings } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { type TcpTransportOptions, tcpTransport } from '@antiphon/transport-tcp'

/** Those of `Replica.start`, with a folder and TCP where it wants a store and a transport. */
export interface StartSettings<M extends Machines> extends Omit<ReplicaSettings, 'machines' | 'storage' | 'transport'> {
  /** Agreed: names, versions and their order. A machine belongs to one replica. */
  readonly machines: M
  /** This member's files: a folder of its own, on a disk that keeps them. Made if it is not there. */
  readonly folder?: string
  /** Where to listen, `host:port`, if that is not where the others dial: behind a container's or a cloud's address, say `0.0.0.0:7001`. */
  readonly listen?: string
  /** Encrypts what members say to each other, and binds each member's id to its certificate: `{ key, cert, ca }` in PEM. */
  readonly tls?: NonNullable<TcpTransportOptions['tls']>
  /** Shared by all members, who prove it to each other: where TLS is not wanted, or besides. */
  readonly secret?: NonNullable<TcpTransportOptions['secret']>
  /** Instead of files in `folder`. */
  readonly storage?: LogStore
  /** Instead of TCP; it has its own ways of authentication. */
  readonly transport?: Transport
}

/**
 * Starts this process's member of the ensemble. Resolves when its files are recovered and it listens; `replica.ready()` waits for the ensemble.
 * @throws AntiphonError INVALID_SETTINGS, FOLDER_IN_USE, FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FULL, DISK_FAILED, or because it can not listen
 */
export function start<const M extends Machines>(settings: StartSettings<M>): Promise<Replica<M>> {
  try {
    if (typeof settings !== 'object' || settings === null) throw invalidSettings('the settings are missing', 'Pass { id, members, folder, machines }.')
    const { folder, listen, tls, secret, storage, transport, ...rest } = settings
    expectMember(rest)
    if (transport !== undefined && (tls ?? secret ?? listen) !== undefined)
      throw invalidSettings('`listen`, `tls` and `secret` are for the TCP transport that is made here', 'Give them to your own `transport`.')
    const tcp = (): Transport =>
      tcpTransport({ listen: listen ?? addressOf(rest), ...(tls === undefined ? {} : { tls }), ...(secret === undefined ? {} : { secret }) })
    return Replica.start<M>({ ...rest, storage: storage ?? filesIn(folder), transport: transport ?? tcp() })
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
  for (const [other, member] of Object.entries(members)) {
    // Nobody dials it.
    if (typeof member === 'object' && member?.role === 'observer' && member.address === '') continue
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
