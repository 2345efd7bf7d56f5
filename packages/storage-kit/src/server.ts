import type { SnapshotMeta, StoreId, Zxid } from '@antiphon/ports'
import type { Engine, SnapshotSink, SnapshotSource } from './engine.ts'
import { type StoredError, storedError } from './errors.ts'
import type { SnapshotPosition, SnapshotTotals } from './frames.ts'
import type { Pack } from './pack.ts'

/** Everything but writes, as data: it can cross to another thread. */
export type Call =
  | { readonly op: 'open'; readonly freshStoreId: StoreId }
  | { readonly op: 'read'; readonly after: Zxid; readonly upTo: Zxid; readonly bytesMax: number }
  | { readonly op: 'begin'; readonly meta: SnapshotMeta; readonly staged: boolean }
  | { readonly op: 'append'; readonly writer: number; readonly frames: Uint8Array }
  | { readonly op: 'finish'; readonly writer: number; readonly totals: SnapshotTotals }
  | { readonly op: 'abort'; readonly writer: number }
  | { readonly op: 'openSnapshot'; readonly zxid: Zxid | null }
  | { readonly op: 'readSnapshot'; readonly reader: number; readonly from: SnapshotPosition; readonly bytesMax: number }
  | { readonly op: 'closeSnapshot'; readonly reader: number }
  | { readonly op: 'discard'; readonly generation: number }
  | { readonly op: 'compact'; readonly retain: number; readonly keepFrom: Zxid }
  | { readonly op: 'close' }

export type Request = { readonly kind: 'pack'; readonly pack: Pack } | { readonly kind: 'call'; readonly id: number; readonly call: Call }

export type Reply =
  /** The oldest `packs` packs are settled; their memory comes back. */
  | { readonly kind: 'flushed'; readonly packs: number; readonly error: StoredError | null; readonly buffers: readonly ArrayBuffer[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly error: StoredError }
  /** Nobody has asked: the store goes on in spite of it. */
  | { readonly kind: 'trouble'; readonly error: StoredError }

interface Waiting {
  readonly id: number
  readonly call: Call
  /** Packs that came before it: it sees what they wrote. */
  readonly after: number
}

/**
 * Serves one engine to requests that come as data: in a worker, or in the thread that asks. Packs that have come by the time of a flush share it; a call is carried out when every
 * pack before it is settled.
 */
export class EngineServer {
  readonly #engine: Engine
  readonly #reply: (reply: Reply, transfer: ArrayBuffer[]) => void
  readonly #calls: Waiting[] = []
  #received = 0
  #settled = 0
  #handles = 0
  readonly #writers = new Map<number, { readonly writer: SnapshotSink; readonly staged: boolean }>()
  readonly #readers = new Map<number, SnapshotSource>()

  /** `reply` must not throw. */
  constructor(engine: Engine, reply: (reply: Reply, transfer: ArrayBuffer[]) => void) {
    this.#engine = engine
    this.#reply = reply
  }

  receive(request: Request): void {
    if (request.kind === 'pack') {
      this.#received++
      this.#engine.submit(request.pack)
    } else {
      this.#calls.push({ id: request.id, call: request.call, after: this.#received })
    }
  }

  /** One flush and one call, as far as any wait; false when none does. */
  step(): boolean {
    const flushes = this.#engine.pending > 0
    if (flushes) this.#flush()
    const next = this.#calls[0]
    if (next === undefined || next.after > this.#settled) return flushes
    try {
      // What takes long to reach is reached in steps, so that flushes go on.
      if (next.call.op === 'read' && this.#engine.reaches?.(next.call.after) === false) return true
      this.#calls.shift()
      const { value, transfer } = this.#carryOut(next.call)
      this.#reply({ kind: 'answer', id: next.id, value }, transfer)
    } catch (error) {
      if (this.#calls[0] === next) this.#calls.shift()
      this.#reply({ kind: 'refusal', id: next.id, error: storedError(error) }, [])
    }
    return true
  }

  /** What the engine has found by itself. */
  tell(): void {
    for (const error of this.#engine.takeTroubles?.() ?? []) this.#reply({ kind: 'trouble', error: storedError(error) }, [])
  }

  #flush(): void {
    const { packs, error } = this.#engine.flush()
    this.#settled += packs.length
    const buffers = packs.map(({ bytes }) => bytes.buffer)
    this.#reply({ kind: 'flushed', packs: packs.length, error: error === null ? null : storedError(error), buffers }, buffers)
  }

  #carryOut(call: Call): { value: unknown; transfer: ArrayBuffer[] } {
    const engine = this.#engine
    switch (call.op) {
      case 'open':
        return plain(engine.open(call.freshStoreId))
      case 'read': {
        const runs = engine.read(call.after, call.upTo, call.bytesMax)
        return { value: runs, transfer: runs.length === 0 ? [] : [runs[0]!.bytes.buffer as ArrayBuffer] }
      }
      case 'begin': {
        const writer = call.staged ? engine.beginStaging(call.meta) : engine.beginSnapshot(call.meta)
        this.#writers.set(++this.#handles, { writer, staged: call.staged })
        return plain(this.#handles)
      }
      case 'append':
        return plain(engine.appendSnapshot(this.#writer(call.writer).writer, call.frames))
      case 'finish': {
        const { writer, staged } = this.#writer(call.writer)
        const value = staged ? engine.finishStaging(writer, call.totals) : engine.finishSnapshot(writer, call.totals)
        this.#writers.delete(call.writer)
        return plain(value)
      }
      case 'abort':
        this.#writers.get(call.writer)?.writer.abort()
        return plain(this.#writers.delete(call.writer))
      case 'openSnapshot': {
        const reader = engine.openSnapshot(call.zxid ?? undefined)
        if (reader === null) return plain(null)
        this.#readers.set(++this.#handles, reader)
        return plain({ reader: this.#handles, meta: reader.meta, bytes: reader.bytes, begin: reader.begin })
      }
      case 'readSnapshot': {
        const frames = this.#readers.get(call.reader)!.read(call.from, call.bytesMax)
        return { value: frames, transfer: [frames.bytes.buffer] }
      }
      case 'closeSnapshot': {
        const reader = this.#readers.get(call.reader)
        if (reader !== undefined) engine.closeSnapshot(reader)
        return plain(this.#readers.delete(call.reader))
      }
      case 'discard':
        return plain(engine.discard(call.generation))
      case 'compact':
        return plain(engine.compact(call.retain, call.keepFrom))
      case 'close':
        for (const { writer } of this.#writers.values()) writer.abort()
        this.#writers.clear()
        return plain(engine.close())
    }
  }

  #writer(number: number): { readonly writer: SnapshotSink; readonly staged: boolean } {
    return this.#writers.get(number)!
  }
}

function plain(value: unknown): { value: unknown; transfer: ArrayBuffer[] } {
  return { value, transfer: [] }
}
