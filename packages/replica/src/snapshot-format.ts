import { type Configuration, corrupt, type EnsembleId, type Founding, readU32, type SnapshotMeta, writeU32 } from '@antiphon/consensus-core'
import { AntiphonError } from '@antiphon/ports'
import { type EncodedRow, OriginTable } from './origins.ts'
import { type AnyMachine, namedMachines, REPLICA_DEFAULTS } from './settings.ts'

/**
 * A snapshot is a sequence of stored chunks. The first is the shell's head, JSON in UTF-8. The others are packets of records, first those of the results that are kept for each origin:
 *
 * ```
 * 0  u8   machine: 1.. in the order of the settings; 0 for the shell
 * 1  u8   flags: 1 ends a chunk as the machine gave it; 2 ends the snapshot
 * 2  u32  length
 * 6  ...  bytes
 * ```
 *
 * The last record of all has machine 0, flags 3 and no bytes: a snapshot without it was cut off. Equal states at equal ZXIDs make equal bytes, and
 * with equal settings equal chunks: a transfer that began under one leader goes on under another (rule 14).
 */
export interface SnapshotHead {
  readonly ensembleId: EnsembleId
  readonly meta: SnapshotMeta
  readonly configuration: Configuration
  readonly origins: OriginTable
  /** Name under which it is proposed to, its own name, its version; in order. */
  readonly machines: readonly (readonly [string, string, number])[]
}

/** 1 kept no results for origins: nothing of that format was ever published, and it is refused. */
const FORMAT = 2
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const RECORD_HEAD_BYTES = 6
const ENDS_CHUNK = 1
const ENDS_ALL = 2
/** What the shell's own records are taken for. */
export const SHELL_CHUNKS = 0
const NOBODY = -1
/** Most states are small. */
const PACKET_BYTES_AT_FIRST = 4096

interface StoredHead {
  readonly format: number
  readonly ensembleId: string
  readonly zxid: number
  readonly checksum: number
  readonly time: number
  readonly endPoints: readonly (readonly [number, number, number])[]
  /** Version, then `[id, role, weight, group, storeId]`. */
  readonly configuration: readonly [number, readonly (readonly [number, string, number, number, string | null])[]]
  readonly origins: readonly EncodedRow[]
  readonly machines: SnapshotHead['machines']
}

export function encodeHead({ ensembleId, meta, configuration, origins, machines }: SnapshotHead): Uint8Array {
  const stored: StoredHead = {
    format: FORMAT,
    ensembleId,
    zxid: meta.zxid,
    checksum: meta.checksum,
    time: meta.time,
    endPoints: meta.endPoints.map(({ epoch, last, checksum }) => [epoch, last, checksum]),
    configuration: storedConfiguration(configuration),
    origins: origins.encode(),
    machines,
  }
  return encoder.encode(JSON.stringify(stored))
}

function storedConfiguration({ version, members }: Configuration): StoredHead['configuration'] {
  return [version, members.map(({ id, role, weight, group, storeId }) => [id, role, weight, group, storeId])]
}

/**
 * A snapshot's chunks as those of another ensemble at the same place of the same history: the head names that one, the machines' state and the table of origins stay as they are.
 * For backups that are restored: what was saved must not be taken for a member of the ensemble that saved it (rule 9).
 * @throws AntiphonError CORRUPT; VERSION_MISMATCH when it was made by a later version
 */
export async function* refounded(chunks: AsyncIterable<Uint8Array>, { ensembleId, configuration }: Founding): AsyncGenerator<Uint8Array, void, undefined> {
  let isFirst = true
  for await (const chunk of chunks) {
    if (isFirst) {
      const head = parse(chunk)
      expectFormat(head)
      yield encoder.encode(JSON.stringify({ ...head, ensembleId, configuration: storedConfiguration(configuration) }))
    } else {
      yield chunk
    }
    isFirst = false
  }
  if (isFirst) throw corrupt('a snapshot is empty')
}

/** What there is of a machine's state: the machine itself, or what its name and version have a snapshot of. */
export type MachineState = Pick<AnyMachine, 'name' | 'version' | 'snapshot'>

/**
 * The chunks of a snapshot that a history begins with: nothing was proposed before it, so that no origin is known. `machines`: by the names and in the order of the replicas' settings.
 * Equal states make equal chunks.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function* firstSnapshot(
  { ensembleId, configuration }: Founding,
  meta: SnapshotMeta,
  machines: Readonly<Record<string, MachineState>>,
): Generator<Uint8Array, void, undefined> {
  const named = namedMachines(machines, ['snapshot'])
  yield encodeHead({ ensembleId, meta, configuration, origins: new OriginTable(), machines: describeMachines(named) })
  const packer = new Packer(REPLICA_DEFAULTS.snapshotChunkBytes)
  for (const [index, { machine }] of named.entries()) for (const chunk of machine.snapshot()) yield* packer.add(index + 1, chunk)
  yield* packer.end()
}

/** What the shell needs of a head to go on from it. */
export interface RestoredHead {
  readonly ensembleId: EnsembleId
  readonly origins: OriginTable
}

/**
 * The head of the snapshot that `meta` is told of.
 * @throws AntiphonError CORRUPT; VERSION_MISMATCH when it was made by another version, or of other machines.
 */
export function decodeHead(bytes: Uint8Array, meta: SnapshotMeta, machines: readonly DescribedMachine[]): RestoredHead {
  const head = parse(bytes)
  expectFormat(head)
  if (head.zxid !== meta.zxid || head.checksum !== meta.checksum || head.time !== meta.time)
    throw corrupt('a snapshot is not of the point in history that it was stored for', { zxid: meta.zxid })
  if (typeof head.ensembleId !== 'string' || !Array.isArray(head.origins) || !Array.isArray(head.machines))
    throw corrupt('the head of a snapshot lacks something', { zxid: meta.zxid })
  const expected = describeMachines(machines)
  if (JSON.stringify(head.machines) !== JSON.stringify(expected)) {
    throw new AntiphonError(
      'VERSION_MISMATCH',
      `a snapshot holds the machines ${JSON.stringify(head.machines)}, the settings name ${JSON.stringify(expected)}`,
      {
        remedy: 'Start with the machines, names and versions that the snapshot was made with.',
      },
    )
  }
  return { ensembleId: head.ensembleId, origins: OriginTable.decode(head.origins) }
}

interface DescribedMachine {
  readonly name: string
  readonly machine: Pick<AnyMachine, 'name' | 'version'>
}

/** What a head says of the machines. @throws AntiphonError CORRUPT; VERSION_MISMATCH when it was made by another version */
export function machinesOf(bytes: Uint8Array): SnapshotHead['machines'] {
  const head = parse(bytes)
  expectFormat(head)
  if (!Array.isArray(head.machines)) throw corrupt('the head of a snapshot names no machines')
  return head.machines
}

export function describeMachines(machines: readonly DescribedMachine[]): (readonly [string, string, number])[] {
  return machines.map(({ name, machine }) => [name, machine.name, machine.version] as const)
}

function expectFormat({ format }: Partial<StoredHead>): void {
  if (format === FORMAT) return
  throw new AntiphonError('VERSION_MISMATCH', `a snapshot is of format ${String(format)}, not ${FORMAT}`, {
    remedy: `Run the version that made it${Number(format) > FORMAT ? ', or a later one' : '; or wipe this member, and let it be synchronised by the others'}.`,
  })
}

function parse(bytes: Uint8Array): Partial<StoredHead> {
  try {
    const head: unknown = JSON.parse(decoder.decode(bytes))
    if (typeof head === 'object' && head !== null) return head
  } catch {
    // Reported below, like every other head that is none.
  }
  throw corrupt('the head of a snapshot can not be read')
}

/** Packs records into packets of at most `bytesEach`. Every byte is copied once: the machine's chunks may be of any size. */
export class Packer {
  readonly #bytesEach: number
  #packet: Uint8Array
  #length = 0

  constructor(bytesEach: number) {
    this.#bytesEach = bytesEach
    this.#packet = new Uint8Array(Math.min(bytesEach, PACKET_BYTES_AT_FIRST))
  }

  take(): Uint8Array {
    const packet = this.#packet.slice(0, this.#length)
    this.#length = 0
    return packet
  }

  /** One chunk of a machine; yields the packets that are full. */
  *add(machine: number, chunk: Uint8Array): Iterable<Uint8Array> {
    let at = 0
    do {
      if (this.#length + RECORD_HEAD_BYTES >= this.#bytesEach) yield this.take()
      const taken = Math.min(chunk.length - at, this.#bytesEach - this.#length - RECORD_HEAD_BYTES)
      this.#record(machine, at + taken === chunk.length ? ENDS_CHUNK : 0, chunk.subarray(at, at + taken))
      at += taken
    } while (at < chunk.length)
  }

  /** The last packet, closed by the last record of all. */
  *end(): Iterable<Uint8Array> {
    if (this.#length + RECORD_HEAD_BYTES > this.#bytesEach) yield this.take()
    this.#record(0, ENDS_CHUNK | ENDS_ALL, new Uint8Array(0))
    yield this.take()
  }

  #record(machine: number, flags: number, bytes: Uint8Array): void {
    const end = this.#length + RECORD_HEAD_BYTES + bytes.length
    if (end > this.#packet.length) this.#grow(end)
    const packet = this.#packet
    packet[this.#length] = machine
    packet[this.#length + 1] = flags
    writeU32(packet, this.#length + 2, bytes.length)
    packet.set(bytes, this.#length + RECORD_HEAD_BYTES)
    this.#length = end
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.min(this.#bytesEach, Math.max(needed, this.#packet.length * 4)))
    grown.set(this.#packet.subarray(0, this.#length))
    this.#packet = grown
  }
}

/** Takes packets apart again. The shell's chunks come first, then the machines' in ascending order; each is read by `chunksOf`, once, in that order. */
export class Unpacker {
  readonly #packets: AsyncIterator<Uint8Array>
  #packet: Uint8Array = new Uint8Array(0)
  #at = 0
  #ended = false

  /** Behind the head. */
  constructor(packets: AsyncIterator<Uint8Array>) {
    this.#packets = packets
  }

  /** The chunks of one machine as it gave them. Their memory is the receiver's. @throws AntiphonError CORRUPT, also for a chunk above `bytesMax`. */
  async *chunksOf(machine: number, bytesMax: number = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array, void, undefined> {
    let parts: Uint8Array[] = []
    let bytes = 0
    while (await this.#hasMore()) {
      if (this.#owner() !== machine) break
      const flags = this.#packet[this.#at + 1]!
      const part = this.#takeRecord()
      bytes += part.length
      if (bytes > bytesMax) throw corrupt(`a chunk of a snapshot is above ${bytesMax} bytes`)
      parts.push(part)
      if ((flags & ENDS_CHUNK) === 0) continue
      const chunk = parts.length === 1 ? parts[0]! : join(parts)
      parts = []
      bytes = 0
      yield chunk
    }
    if (parts.length > 0) throw corrupt('a snapshot ends within a chunk')
  }

  /** Passes over what a machine left of its chunks. */
  async skip(machine: number): Promise<void> {
    while ((await this.#hasMore()) && this.#owner() === machine) this.#takeRecord()
  }

  /** @throws AntiphonError CORRUPT when anything but the last record of all is left. */
  async expectEnd(): Promise<void> {
    if (!(await this.#hasMore()) || this.#owner() !== NOBODY) throw corrupt('a snapshot has no end, or more machines than it names')
    this.#takeRecord()
    this.#ended = true
    if (await this.#hasMore()) throw corrupt('a snapshot goes on behind its end')
  }

  async #hasMore(): Promise<boolean> {
    while (this.#at === this.#packet.length) {
      const next = await this.#packets.next()
      if (next.done === true) {
        if (!this.#ended) throw corrupt('a snapshot was cut off')
        return false
      }
      this.#packet = next.value
      this.#at = 0
    }
    return true
  }

  #owner(): number {
    const machine = this.#packet[this.#at]!
    return machine === SHELL_CHUNKS && (this.#packet[this.#at + 1]! & ENDS_ALL) !== 0 ? NOBODY : machine
  }

  #takeRecord(): Uint8Array {
    const packet = this.#packet
    const start = this.#at + RECORD_HEAD_BYTES
    const end = packet.length - this.#at < RECORD_HEAD_BYTES ? Number.POSITIVE_INFINITY : start + readU32(packet, this.#at + 2)
    if (end > packet.length) throw corrupt('a record of a snapshot is cut off')
    this.#at = end
    return packet.subarray(start, end)
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
