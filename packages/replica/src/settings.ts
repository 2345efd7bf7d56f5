import {
  CORE_DEFAULTS,
  type Configuration,
  type CoreConfig,
  ENTRY_OVERHEAD_BYTES,
  type PeerId,
  SETTINGS_PARTS,
  validateConfig,
  ZERO,
} from '@antiphon/consensus-core'
import type { Address, Clock, Logger, LogStore, Metrics, Random, StateMachine, Transport } from '@antiphon/ports'
import { invalidSettings } from './errors.ts'

// biome-ignore lint/suspicious/noExplicitAny: a machine is contravariant in its requests; only `any` accepts them all.
export type AnyMachine = StateMachine<any, any>
/** The replica's machines by the names under which they are proposed to. Their order is part of what the ensemble agrees on. */
export type Machines = Readonly<Record<string, AnyMachine>>
export type RequestOf<Machine> = Machine extends StateMachine<infer Request, infer _Result> ? Request : never
export type ResultOf<Machine> = Machine extends StateMachine<infer _Request, infer Result> ? Result : never

export interface MemberSettings {
  /** As this replica's transport dials it. Replicas may differ in it. */
  readonly address: Address
  /** `voter` unless told. */
  readonly role?: 'voter' | 'observer'
  /** Of a voter; 1 unless told. */
  readonly weight?: number
  /** For hierarchical quorums; 0 unless told. */
  readonly group?: number
}

export interface ReadLeaseSettings {
  /** How long an echo lets the leader read; for as long, voters wait before they elect another. Five ticks. */
  readonly ms?: number
  /** By how many thousandths a clock's rate may differ from true time. 10. */
  readonly driftPerMille?: number
}

/** Units stand last in names. */
export interface ReplicaSettings<M extends Machines = Machines> {
  /** Which of the members this is. */
  readonly id: number
  /** The ensemble, this replica included, by id (1 to 255). A string is a voter's address. Agreed: everything but the addresses. */
  readonly members: Readonly<Record<number, Address | MemberSettings>>
  /** Agreed: names, versions and their order. A machine belongs to one replica. */
  readonly machines: M
  readonly storage: LogStore
  readonly transport: Transport

  /** Agreed. Longest request, and longest change that a machine may make of one. 1 MiB and 64 KiB: a value of 1 MiB, and what comes with it. */
  readonly requestBytesMax?: number
  /** Agreed. How many requests of one replica may be under way at a time. 16,384. */
  readonly originWindow?: number
  /** Agreed. Bytes of results that are kept for one replica until it has them: what does not fit is only marked as applied, for a replica that was not there when it was. 4 MiB. */
  readonly resultsBytesMax?: number
  /**
   * Agreed; off unless told. The leader answers linearizable reads from its own state, without asking, while a quorum's echoes of its heartbeats are young enough. **This trusts clocks**: it is
   * sound only while every member's monotonic clock runs at a rate within the drift. A machine or virtual machine that is suspended, or a process that is frozen and moved, breaks it: its clock
   * stands still while the others' goes on, and it may then answer with what is out of date.
   */
  readonly readLease?: ReadLeaseSettings

  /** Agreed. Replicas compare the digests of their states at every ZXID whose counter is a multiple of it; 0: never. 1024. */
  readonly digestEvery?: number

  /** 100. */
  readonly tickMs?: number
  /** Silence that ends an established relation. 10. */
  readonly syncLimitTicks?: number
  /** Silence without progress that ends a synchronisation. 50. */
  readonly initLimitTicks?: number
  /** A snapshot of our own after so many applied entries, or a part of them from half to whole that is drawn anew each time: so that members do not take theirs at once. 100,000. */
  readonly snapshotEveryEntries?: number
  /** The same for bytes of the log, whichever comes first; 0: however many there are. 256 MiB. */
  readonly snapshotEveryBytes?: number
  /** How many snapshots are kept, and the log behind the oldest of them. 3. */
  readonly retainSnapshots?: number
  /** What snapshots are cut into, on the disk and on the wire: transfers that broke off go on only between members with the same. 256 KiB. */
  readonly snapshotChunkBytes?: number
  /** Bytes of our own requests that wait or are under way; also of other replicas' requests that wait here. 64 MiB. */
  readonly queueBytesMax?: number
  /** Longest stretch of the event loop for work that grows with the state or the log. 10. */
  readonly sliceMs?: number
  /** A write that takes longer to become durable is told by the event `slowFlush`, and counted. 1,000. */
  readonly fsyncWarnMs?: number
  /** Bytes under way to a peer and not yet acknowledged; also the bound of uncommitted bytes. 16 MiB. */
  readonly windowBytes?: number
  /** Recent entries that a leader keeps in memory for learners. 8 MiB. */
  readonly recentBytes?: number
  /** How long a decided election waits for a better vote. 2. */
  readonly finalizeWaitTicks?: number
  /** Longest pause after failed discoveries. 300. */
  readonly backoffTicksMax?: number
  /** How far a leader's wall clock may be ahead of the median of its voters' before entries are stamped with the median. 1,000. */
  readonly clockAheadMsMax?: number
  /** So long a replica must have been away from the leader before what is known of its requests is forgotten; counted by the leader. 6,000. */
  readonly retireOriginTicks?: number
  /** The epoch's last counter; for tests. */
  readonly counterMax?: number
  /** The host's own timers keep the process alive until `close()`. true; of no account with a `clock` of your own. */
  readonly keepAlive?: boolean

  readonly logger?: Logger
  readonly metrics?: Metrics
  readonly clock?: Clock
  readonly random?: Random
}

/** `ReplicaSettings` with every default filled in, validated. */
export interface Resolved {
  readonly self: PeerId
  readonly initial: Configuration
  readonly addresses: ReadonlyMap<PeerId, Address>
  /** In order: machine number i + 1 is `machines[i]`. */
  readonly machines: readonly NamedMachine[]
  /** 16 hexadecimal digits over everything that the ensemble must agree on. */
  readonly fingerprint: string
  readonly requestBytesMax: number
  readonly originWindow: number
  readonly digestEvery: number
  readonly resultsBytesMax: number
  readonly retireOriginTicks: number
  readonly snapshotEveryEntries: number
  readonly snapshotEveryBytes: number
  readonly retainSnapshots: number
  readonly snapshotChunkBytes: number
  readonly queueBytesMax: number
  readonly sliceMs: number
  readonly fsyncWarnMs: number
  readonly core: Omit<CoreConfig, 'freshEnsembleId' | 'seed'>
}

export interface NamedMachine {
  readonly name: string
  readonly machine: AnyMachine
}

type OwnNumber =
  | 'requestBytesMax'
  | 'originWindow'
  | 'resultsBytesMax'
  | 'retireOriginTicks'
  | 'digestEvery'
  | 'snapshotEveryEntries'
  | 'snapshotEveryBytes'
  | 'retainSnapshots'
  | 'snapshotChunkBytes'
  | 'queueBytesMax'
  | 'sliceMs'
  | 'fsyncWarnMs'

export const REPLICA_DEFAULTS: Readonly<Record<OwnNumber, number>> = {
  requestBytesMax: 1088 * 1024,
  originWindow: 16_384,
  digestEvery: 1024,
  resultsBytesMax: 4 * 1024 * 1024,
  retireOriginTicks: 6000,
  snapshotEveryEntries: 100_000,
  snapshotEveryBytes: 256 * 1024 * 1024,
  retainSnapshots: 3,
  snapshotChunkBytes: 256 * 1024,
  queueBytesMax: 64 * 1024 * 1024,
  sliceMs: 10,
  fsyncWarnMs: 1000,
}

/** A change must fit a frame together with its head, and a run holds at least one. */
const REQUEST_BYTES_LIMIT = 32 * 1024 * 1024
const MACHINES_MAX = 255
const SNAPSHOT_CHUNK_BYTES = { min: 64, max: 16 * 1024 * 1024 }
const CORE_NUMBERS = [
  'tickMs',
  'syncLimitTicks',
  'initLimitTicks',
  'finalizeWaitTicks',
  'backoffTicksMax',
  'windowBytes',
  'recentBytes',
  'counterMax',
  'clockAheadMsMax',
] as const
const MAY_BE_ZERO: ReadonlySet<string> = new Set(['finalizeWaitTicks', 'recentBytes', 'digestEvery', 'snapshotEveryBytes'])
const OWN_NUMBERS = Object.keys(REPLICA_DEFAULTS) as OwnNumber[]

/** @throws AntiphonError INVALID_SETTINGS */
export function resolveSettings(settings: ReplicaSettings): Resolved {
  if (typeof settings !== 'object' || settings === null)
    throw invalidSettings('the settings are not an object', 'Pass { id, members, machines, storage, transport }.')
  expectKnown(settings)
  expectPorts(settings)
  const { initial, addresses } = readMembers(settings.members)
  const machines = readMachines(settings.machines)
  const own = readNumbers(settings, OWN_NUMBERS, REPLICA_DEFAULTS)
  const limits = { ...readNumbers(settings, CORE_NUMBERS, CORE_DEFAULTS), ...readLeaseOf(settings) }
  if (own.requestBytesMax > REQUEST_BYTES_LIMIT)
    throw invalidSettings(
      `requestBytesMax is above ${REQUEST_BYTES_LIMIT}`,
      'Lower `requestBytesMax`; large values belong elsewhere, with a reference to them in the state.',
    )
  if (own.requestBytesMax + ENTRY_OVERHEAD_BYTES > limits.windowBytes)
    throw invalidSettings('a change of requestBytesMax does not fit into windowBytes', 'Raise `windowBytes`, or lower `requestBytesMax`.')
  if (own.requestBytesMax > own.queueBytesMax)
    throw invalidSettings('a request of requestBytesMax does not fit into queueBytesMax', 'Raise `queueBytesMax`, or lower `requestBytesMax`.')
  if (own.snapshotChunkBytes < SNAPSHOT_CHUNK_BYTES.min || own.snapshotChunkBytes > SNAPSHOT_CHUNK_BYTES.max)
    throw invalidSettings(
      `snapshotChunkBytes is not from ${SNAPSHOT_CHUNK_BYTES.min} to ${SNAPSHOT_CHUNK_BYTES.max}`,
      'Correct `snapshotChunkBytes`, or leave it out.',
    )
  const fingerprint = fingerprintOf(initial, machines, [
    own.requestBytesMax,
    own.originWindow,
    limits.leaseMs,
    limits.leaseMs === 0 ? 0 : limits.leaseDriftPerMille,
    own.digestEvery,
    own.resultsBytesMax,
  ])
  const self = settings.id as PeerId
  const core = { ...CORE_DEFAULTS, ...limits, self, initial, settings: fingerprint }
  validateConfig({ ...core, freshEnsembleId: '', seed: 0 })
  return { self, initial, addresses, machines, fingerprint, ...own, core }
}

const KNOWN: ReadonlySet<string> = new Set([
  'id',
  'members',
  'machines',
  'storage',
  'transport',
  'readLease',
  'keepAlive',
  'logger',
  'metrics',
  'clock',
  'random',
  ...CORE_NUMBERS,
  ...OWN_NUMBERS,
])

/** A misspelt setting would be left at its default without a word. */
function expectKnown(settings: ReplicaSettings): void {
  for (const name of Object.keys(settings)) {
    if (!KNOWN.has(name)) throw invalidSettings(`there is no setting \`${name}\``, `Correct its name; the settings are ${[...KNOWN].join(', ')}.`)
  }
}

function expectPorts(settings: ReplicaSettings): void {
  const expect = (name: string, value: unknown, methods: readonly string[]): void => {
    const missing = methods.filter((method) => typeof (value as Record<string, unknown> | null | undefined)?.[method] !== 'function')
    if (missing.length > 0) throw invalidSettings(`\`${name}\` lacks ${missing.join(', ')}`, `Pass an adapter as \`${name}\`.`)
  }
  expect('storage', settings.storage, ['open', 'write', 'read', 'saveSnapshot', 'openSnapshot', 'stage', 'stageAppend', 'discard', 'compact', 'close'])
  expect('transport', settings.transport, ['start', 'setPeers', 'send', 'disconnect', 'close'])
  if (settings.clock !== undefined) expect('clock', settings.clock, ['monotonic', 'wall', 'schedule', 'defer'])
  if (settings.random !== undefined) expect('random', settings.random, ['uint32'])
  if (settings.logger !== undefined) expect('logger', settings.logger, ['debug', 'info', 'warn', 'error'])
  if (settings.metrics !== undefined) expect('metrics', settings.metrics, ['counter', 'gauge', 'histogram'])
}

function readMembers(members: ReplicaSettings['members']): { initial: Configuration; addresses: Map<PeerId, Address> } {
  if (typeof members !== 'object' || members === null)
    throw invalidSettings('`members` is missing', 'List every member: { 1: "host:port", 2: "host:port", 3: "host:port" }.')
  const addresses = new Map<PeerId, Address>()
  const read = Object.entries(members).map(([key, member]) => {
    const id = Number(key) as PeerId
    const { address, role = 'voter', weight = role === 'voter' ? 1 : 0, group = 0 } = typeof member === 'string' ? { address: member } : (member ?? {})
    // Nobody dials a browser: an observer without an address dials the others.
    if (typeof address !== 'string' || (address === '' && role !== 'observer'))
      throw invalidSettings(`member ${key} has no address`, 'Give each voter an address that the transport can dial; an observer may have an empty one.')
    if (role !== 'voter' && role !== 'observer') throw invalidSettings(`member ${key} has the role ${String(role)}`, 'A member is a `voter` or an `observer`.')
    addresses.set(id, address)
    return { id, role, weight, group, storeId: null } as const
  })
  return { initial: { version: ZERO, members: read.sort((a, b) => a.id - b.id) }, addresses }
}

function readMachines(machines: Machines): NamedMachine[] {
  return namedMachines(machines, ['encodeRequest', 'encodeResult', 'decodeResult', 'apply', 'snapshot', 'restore'])
}

/** In order, as the settings of a replica name them; each has these methods, a name and a version. @throws AntiphonError INVALID_SETTINGS */
export function namedMachines<M extends Pick<AnyMachine, 'name' | 'version'>>(
  machines: Readonly<Record<string, M>>,
  methods: readonly string[],
): { readonly name: string; readonly machine: M }[] {
  if (typeof machines !== 'object' || machines === null) throw invalidSettings('`machines` is missing', 'Pass at least one state machine: { name: machine }.')
  const named = Object.entries(machines).map(([name, machine]) => ({ name, machine }))
  if (named.length === 0) throw invalidSettings('there is no state machine', 'Pass at least one state machine: { name: machine }.')
  if (named.length > MACHINES_MAX) throw invalidSettings(`${named.length} state machines are above ${MACHINES_MAX}`, 'Put several concerns into one machine.')
  for (const { name, machine } of named) {
    // Names that look like integers would be reordered by the language, and the order is agreed.
    if (!/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(name))
      throw invalidSettings(`\`${name}\` is no name for a machine`, 'Names begin with a letter; letters, digits, `_`, `.` and `-` follow; at most 64.')
    const missing = methods.filter((method) => typeof (machine as unknown as Record<string, unknown> | null)?.[method] !== 'function')
    if (missing.length > 0) throw invalidSettings(`the machine \`${name}\` lacks ${missing.join(', ')}`, 'Pass a StateMachine.')
    if (typeof machine.name !== 'string' || machine.name === '' || !Number.isSafeInteger(machine.version)) {
      throw invalidSettings(`the machine \`${name}\` lacks a name or an integer version`, 'Give the machine a `name` and a `version`.')
    }
    if (named.some((other) => other.name !== name && other.machine === machine))
      throw invalidSettings(`the machine \`${name}\` is listed twice`, 'Make one machine for each name.')
  }
  return named
}

/** The heartbeats of so many ticks may be lost before a lease ends. */
const LEASE_TICKS = 5
type Lease = Pick<CoreConfig, 'leaseMs' | 'leaseDriftPerMille'>
const LEASE_NUMBERS: readonly string[] = ['ms', 'driftPerMille']

function readLeaseOf({ readLease, tickMs = CORE_DEFAULTS.tickMs }: ReplicaSettings): Lease {
  const { leaseMs, leaseDriftPerMille } = CORE_DEFAULTS
  if (readLease === undefined) return { leaseMs, leaseDriftPerMille }
  if (typeof readLease !== 'object' || readLease === null) throw invalidSettings('`readLease` is not an object', 'Pass {} or { ms, driftPerMille }.')
  for (const name of Object.keys(readLease))
    if (!LEASE_NUMBERS.includes(name))
      throw invalidSettings(`there is no setting \`readLease.${name}\``, `Correct its name; there are ${LEASE_NUMBERS.join(', ')}.`)
  const { ms = LEASE_TICKS * tickMs, driftPerMille = leaseDriftPerMille } = readLease
  if (!Number.isSafeInteger(ms) || ms < 1)
    throw invalidSettings(`readLease.ms must be a positive integer, not ${String(ms)}`, 'Leave `readLease` out for no lease.')
  return { leaseMs: ms, leaseDriftPerMille: driftPerMille }
}

function readNumbers<Name extends string>(settings: ReplicaSettings, names: readonly Name[], defaults: Readonly<Record<Name, number>>): Record<Name, number> {
  const read = {} as Record<Name, number>
  for (const name of names) {
    const value: unknown = (settings as unknown as Record<string, unknown>)[name] ?? defaults[name]
    const least = MAY_BE_ZERO.has(name) ? 0 : 1
    if (!Number.isSafeInteger(value) || (value as number) < least)
      throw invalidSettings(`${name} must be an integer, ${least} or more, not ${String(value)}`, `Correct \`${name}\`, or leave it out for ${defaults[name]}.`)
    read[name] = value as number
  }
  return read
}

/** In the parts that the core tells apart: members, machines, limits. */
function fingerprintOf(initial: Configuration, machines: readonly NamedMachine[], limits: readonly number[]): string {
  const members = initial.members.map(({ id, role, weight, group }) => [id, role, weight, group])
  const named = machines.map(({ name, machine }) => [name, machine.name, machine.version])
  const parts = [members, named, limits]
  return SETTINGS_PARTS.map(({ from, to }, i) => fnv1a64(encoder.encode(JSON.stringify(parts[i]))).slice(0, to - from)).join('')
}

const encoder = new TextEncoder()

/** FNV-1a, 64 bits: tells differing settings apart; guards against mistakes, not against forgery. */
function fnv1a64(bytes: Uint8Array): string {
  let high = 0xcbf29ce4
  let low = 0x84222325
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0
    // The prime is 2^40 + 0x1b3; both products are below 2^53.
    const product = low * 0x1b3
    high = (high * 0x1b3 + Math.floor(product / 0x1_0000_0000) + low * 0x100) % 0x1_0000_0000
    low = product % 0x1_0000_0000
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
}
