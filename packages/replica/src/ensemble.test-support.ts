import { AntiphonError, type CommittedBatch, type LogStore, type PrimaryContext, type StateMachine, ZERO, type Zxid } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork, type MemoryNetworkOptions } from '@antiphon/transport-memory'
import { Replica } from './replica.ts'
import type { MemberSettings, ReplicaSettings } from './settings.ts'

export interface Append {
  readonly text: string
  /** Refuse unless the list has this many items, as of everything proposed. */
  readonly expected?: number
  /** Bytes that the change has besides. */
  readonly padding?: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * A list of texts. A change carries the place that the primary gave it, so that a change computed against anything but the state that it meets is seen at once.
 * `!refuse`, `!break` and `!tick` in a text make it refuse, throw in `apply`, and ask for an item of its own in the next tick.
 */
export class ListMachine implements StateMachine<Append, number> {
  readonly name: string
  readonly version: number
  readonly items: string[] = []
  /** The result of an append, by its text, as it was applied here. */
  appliedAt: Zxid = ZERO
  restores = 0
  leads = 0
  abandons = 0
  heardNotes: string[] = []
  wantedNote: string | null = null
  throwsInApply = false
  #digest = 7
  #speculated = 0
  #prepared = 0
  #wanted: string[] = []

  constructor(name = 'list', version = 1) {
    this.name = name
    this.version = version
  }

  encodeRequest(request: Append): Uint8Array {
    return encoder.encode(JSON.stringify(request))
  }
  decodeRequest(bytes: Uint8Array): Append {
    return JSON.parse(decoder.decode(bytes)) as Append
  }
  encodeResult(result: number): Uint8Array {
    return encoder.encode(String(result))
  }
  decodeResult(bytes: Uint8Array): number {
    return Number(decoder.decode(bytes))
  }

  prepare(bytes: Uint8Array, context: PrimaryContext): Uint8Array {
    const { text, expected, padding } = this.decodeRequest(bytes)
    const place = this.items.length + this.#speculated
    if (expected !== undefined && expected !== place)
      throw new AntiphonError('REFUSED', `the list has ${place} items`, { remedy: 'Look again.', refusal: 'OTHER_LENGTH' })
    if (text.includes('!refuse')) throw Object.assign(new Error('not that'), { code: 'NOT_THAT' })
    if (text.includes('!tick')) this.#wanted.push(`${text.replace('!tick', '')} by tick`)
    this.#speculated++
    this.#prepared++
    return encoder.encode(JSON.stringify({ text, place, time: context.time, padding: 'x'.repeat(padding ?? 0) }))
  }

  unprepare(): void {
    this.#speculated--
  }
  leading(): void {
    this.leads++
    this.#speculated = 0
    this.#prepared = 0
  }
  abandon(): void {
    this.abandons++
    this.#speculated = 0
    this.#prepared = 0
    this.#wanted = []
  }
  tick(): readonly Append[] {
    const wanted = this.#wanted
    this.#wanted = []
    return wanted.map((text) => ({ text }))
  }
  note(): Uint8Array | null {
    return this.wantedNote === null ? null : encoder.encode(this.wantedNote)
  }
  heard(from: number, note: Uint8Array): void {
    this.heardNotes.push(`${from}: ${decoder.decode(note)}`)
  }

  apply(batch: CommittedBatch): readonly number[] {
    const results: number[] = []
    for (let i = 0; i < batch.length; i++) {
      const { text, place } = JSON.parse(decoder.decode(batch.change(i))) as { text: string; place: number }
      if (this.throwsInApply || text.includes('!break')) throw new Error('cannot apply this')
      if (place !== this.items.length) throw new Error(`${text} was computed for place ${place}, and comes to ${this.items.length}`)
      if (batch.zxid(i) <= this.appliedAt) throw new Error(`${batch.zxid(i)} is applied twice`)
      this.appliedAt = batch.zxid(i)
      this.#add(text)
      if (this.#prepared > 0) {
        this.#prepared--
        this.#speculated--
      }
      results.push(place)
    }
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    const items = [...this.items]
    return (function* () {
      for (let at = 0; at < items.length; at += 10) yield encoder.encode(JSON.stringify(items.slice(at, at + 10)))
    })()
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.items.length = 0
    this.#digest = 7
    for await (const chunk of chunks) for (const item of JSON.parse(decoder.decode(chunk)) as string[]) this.#add(item)
    this.appliedAt = zxid
    this.restores++
  }

  digest(): bigint {
    return BigInt(this.#digest)
  }

  /** Its first item becomes another one, as if an earlier apply had gone another way. */
  spoil(): void {
    const items = this.items.splice(0)
    this.#digest = 7
    items.forEach((item, i) => this.#add(i === 0 ? `not ${item}` : item))
  }

  #add(item: string): void {
    this.items.push(item)
    for (let i = 0; i < item.length; i++) this.#digest = (Math.imul(this.#digest, 31) + item.charCodeAt(i)) >>> 0
  }
}

type Lists = { readonly list: ListMachine }
export type ListReplica = Replica<Lists>

/** Members 1..n of one ensemble in this process. Stores outlive their replicas, as disks do. */
export class Ensemble {
  readonly network: MemoryNetwork
  readonly stores: Map<number, LogStore> = new Map()
  readonly replicas: Map<number, ListReplica> = new Map()
  readonly members: Record<number, string | MemberSettings> = {}
  readonly #settings: Partial<ReplicaSettings<Lists>>

  constructor(size: number, settings: Partial<ReplicaSettings<Lists>> = {}, network: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork(network)
    this.#settings = { tickMs: 10, ...settings }
    for (let id = 1; id <= size; id++) this.members[id] = address(id)
  }

  settings(id: number, changes: Partial<ReplicaSettings<Lists>> = {}): ReplicaSettings<Lists> {
    let storage = this.stores.get(id)
    if (storage === undefined) this.stores.set(id, (storage = memoryStorage()))
    const own = { id, members: this.members, storage, transport: this.network.transport(address(id)), machines: { list: new ListMachine() } }
    return { ...own, ...this.#settings, ...changes }
  }

  async start(id: number, changes: Partial<ReplicaSettings<Lists>> = {}): Promise<ListReplica> {
    const replica = await Replica.start(this.settings(id, changes))
    this.replicas.set(id, replica)
    return replica
  }

  async startAll(): Promise<ListReplica[]> {
    const replicas: ListReplica[] = []
    for (const id of Object.keys(this.members)) replicas.push(await this.start(Number(id)))
    await Promise.all(replicas.map((replica) => replica.ready()))
    return replicas
  }

  async stop(id: number): Promise<void> {
    await this.replicas.get(id)?.close()
    this.replicas.delete(id)
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.replicas.values()].map((replica) => replica.close()))
    this.replicas.clear()
  }

  leader(): ListReplica {
    for (const replica of this.replicas.values()) if (replica.status().role === 'leading' && replica.status().active) return replica
    throw new Error('nobody leads')
  }

  follower(): ListReplica {
    const leader = this.leader()
    for (const replica of this.replicas.values()) if (replica !== leader) return replica
    throw new Error('nobody follows')
  }
}

export function address(id: number): string {
  return `member-${id}`
}

export function itemsOf(replica: ListReplica): string[] {
  return [...replica.machines.list.items]
}

/** Resolves when `condition` holds; looked at once a turn of the loop. The test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** The error that `promise` rejects with. */
export async function failure(promise: Promise<unknown>): Promise<AntiphonError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof AntiphonError) return error
    throw error
  }
  throw new Error('it did not fail')
}
