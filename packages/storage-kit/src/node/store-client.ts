import {
  AntiphonError,
  type LogStore,
  type Run,
  type Snapshot,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  type Write,
  type Zxid,
} from '@antiphon/ports'
import { type Call, Packer, type Reply, restoredError } from '../index.ts'
import type { Connect, Link } from './link.ts'
import { type RemoteSnapshot, readSnapshot, sendSnapshot } from './snapshot-streams.ts'

type Done = (error: AntiphonError | null) => void

interface Answer {
  readonly resolve: (value: never) => void
  readonly reject: (error: AntiphonError) => void
}

/** One pack is flushed while the next waits in the worker; what comes meanwhile is gathered here. */
const PACKS_UNDER_WAY_MAX = 2
/** A pack that has become this large goes, whatever is under way. */
const PACK_BYTES_MAX = 1024 * 1024

/** The port, over a link to an engine. */
export class StoreClient implements LogStore {
  readonly supports = { durable: true, browser: false }
  readonly #connect: Connect
  #link: Link | null = null
  #state: 'closed' | 'opening' | 'open' | 'closing' = 'closed'
  #failed: AntiphonError | null = null
  /** The engine itself is gone: it answers nothing any more, not even `close`. */
  #isLost = false
  #trouble: (error: AntiphonError) => void = () => undefined
  #opening: Promise<void> | null = null
  #closing: Promise<void> | null = null

  readonly #packer = new Packer()
  /** Of the writes in the packer. */
  #packed: Done[] = []
  /** Of each pack that is under way, in order. */
  readonly #underWay: Done[][] = []
  #sending = false
  readonly #send = (): void => this.#sendPack()

  readonly #answers = new Map<number, Answer>()
  #calls = 0

  constructor(connect: Connect) {
    this.#connect = connect
  }

  watch(trouble: (error: AntiphonError) => void): void {
    this.#trouble = trouble
  }

  open(freshStoreId: StoreId): Promise<StoredState> {
    const opening = this.#open(freshStoreId)
    this.#opening ??= opening.then(
      () => undefined,
      () => undefined,
    )
    return opening
  }

  async #open(freshStoreId: StoreId): Promise<StoredState> {
    if (this.#state !== 'closed') {
      throw new AntiphonError('FOLDER_IN_USE', 'this store is open already', {
        remedy: 'Give every replica a store of its own, and close() one before it is opened again.',
      })
    }
    this.#state = 'opening'
    // That of a close() before: what is opened now can be closed again.
    this.#closing = null
    this.#failed = null
    this.#isLost = false
    try {
      this.#link = await this.#connect({ reply: (reply) => this.#receive(reply), lost: (error) => this.#onLost(error) })
      const state = await this.#call<StoredState>({ op: 'open', freshStoreId })
      this.#state = 'open'
      return state
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  write(write: Write, done: Done): void {
    if (this.#refuses(done)) return
    if (!this.#packer.takes(0, write.install !== null)) this.#sendPack()
    this.#packer.add(write)
    this.#gather(done)
  }

  stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    if (this.#refuses(done)) return
    if (!this.#packer.takes(generation, false)) this.#sendPack()
    this.#packer.addStaged(generation, runs)
    this.#gather(done)
  }

  async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    return this.#ask({ op: 'read', after, upTo, bytesMax })
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean> {
    return (await sendSnapshot((call, transfer) => this.#ask(call, transfer), meta, false, chunks)) as boolean
  }

  async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    const remote = await this.#ask<RemoteSnapshot | null>({ op: 'openSnapshot', zxid: zxid ?? null })
    return remote === null ? null : readSnapshot((call) => this.#ask(call), remote)
  }

  async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    return (await sendSnapshot((call, transfer) => this.#ask(call, transfer), meta, true, chunks)) as number
  }

  discard(generation: number): void {
    if (this.#state === 'open') this.#ask({ op: 'discard', generation }).catch(() => undefined)
  }

  async compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    return this.#ask({ op: 'compact', retain, keepFrom })
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await this.#opening
    if (this.#state !== 'open') return
    this.#state = 'closing'
    try {
      if (!this.#isLost) await this.#call({ op: 'close' })
    } catch {
      // What failed was told to those who waited for it.
    }
    await this.#end()
  }

  async #end(): Promise<void> {
    const link = this.#link
    this.#link = null
    await link?.end()
    this.#lose(closed())
    this.#state = 'closed'
    this.#opening = null
    this.#closing = null
  }

  /** Whether nothing can be written any more: `done` is told so, later. Those before it were told already, or are under way. */
  #refuses(done: Done): boolean {
    const error = this.#state === 'open' ? this.#failed : closed()
    if (error !== null) setImmediate(done, error)
    return error !== null
  }

  #gather(done: Done): void {
    this.#packed.push(done)
    if (this.#packer.bytesUsed >= PACK_BYTES_MAX) this.#sendPack()
    else if (!this.#sending && this.#underWay.length < PACKS_UNDER_WAY_MAX) {
      this.#sending = true
      queueMicrotask(this.#send)
    }
  }

  #sendPack(): void {
    this.#sending = false
    const pack = this.#packer.take()
    if (pack === null || this.#link === null) return
    this.#underWay.push(this.#packed)
    this.#packed = []
    this.#link.post({ kind: 'pack', pack }, [pack.bytes.buffer])
  }

  async #ask<T>(call: Call, transfer: ArrayBuffer[] = []): Promise<T> {
    if (this.#state !== 'open') throw closed()
    return this.#call(call, transfer)
  }

  /** Sees every write before it. */
  #call<T>(call: Call, transfer: ArrayBuffer[] = []): Promise<T> {
    if (this.#failed !== null && call.op !== 'close') return Promise.reject(this.#failed)
    this.#sendPack()
    return new Promise<T>((resolve, reject) => {
      const id = ++this.#calls
      this.#answers.set(id, { resolve: resolve as (value: never) => void, reject })
      this.#link!.post({ kind: 'call', id, call }, transfer)
    })
  }

  #receive(reply: Reply): void {
    if (reply.kind === 'flushed') {
      const error = reply.error === null ? null : restoredError(reply.error)
      for (const buffer of reply.buffers) this.#packer.recycle(buffer)
      const settled = this.#underWay.splice(0, reply.packs)
      this.#sendPack()
      for (const dones of settled) for (const done of dones) done(error)
      return
    }
    if (reply.kind === 'trouble') return this.#trouble(restoredError(reply.error))
    const answer = this.#answers.get(reply.id)
    this.#answers.delete(reply.id)
    if (reply.kind === 'answer') answer?.resolve(reply.value as never)
    else answer?.reject(restoredError(reply.error))
  }

  #onLost(error: AntiphonError): void {
    this.#isLost = true
    this.#lose(error)
  }

  /** Nothing more comes from the engine. */
  #lose(error: AntiphonError): void {
    this.#failed ??= error
    const dones = [...this.#underWay.splice(0).flat(), ...this.#packed.splice(0)]
    const answers = [...this.#answers.values()]
    this.#answers.clear()
    this.#packer.take()
    for (const { reject } of answers) reject(error)
    for (const done of dones) done(error)
  }
}

function closed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the store is closed', { remedy: 'open() it first.' })
}
