import type { Snapshot, SnapshotMeta } from '@antiphon/ports'
import { type Call, ChunkFramer, chunksIn, type SnapshotFrames, type SnapshotPosition } from '../index.ts'

/** Asks the engine. */
export type Ask = <T>(call: Call, transfer?: ArrayBuffer[]) => Promise<T>

/** A snapshot that the engine holds open. */
export interface RemoteSnapshot {
  readonly reader: number
  readonly meta: SnapshotMeta
  readonly bytes: number
  readonly begin: SnapshotPosition
}

/** What crosses to the engine, and back, in one piece. */
const PIECE_BYTES = 256 * 1024
/** Pieces that were sent and are not yet written. */
const PIECES_UNDER_WAY_MAX = 2

/** Streams chunks to the engine, in bounded memory. What the engine makes of them: whether it was saved, or the generation's number. */
export async function sendSnapshot(
  ask: Ask,
  meta: SnapshotMeta,
  staged: boolean,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<boolean | number> {
  const writer = await ask<number>({ op: 'begin', meta, staged })
  const underWay: Promise<unknown>[] = []
  const send = async (frames: Uint8Array<ArrayBuffer>): Promise<void> => {
    const written = ask({ op: 'append', writer, frames }, [frames.buffer])
    written.catch(() => undefined)
    underWay.push(written)
    if (underWay.length > PIECES_UNDER_WAY_MAX) await underWay.shift()
  }
  try {
    const framer = new ChunkFramer(meta, PIECE_BYTES)
    for await (const chunk of chunks) {
      for (let frames = framer.add(chunk); frames !== null; frames = framer.add(chunk)) await send(frames)
    }
    await send(framer.take())
    await Promise.all(underWay)
    return await ask<boolean | number>({ op: 'finish', writer, totals: framer.totals })
  } catch (error) {
    ask({ op: 'abort', writer }).catch(() => undefined)
    throw error
  }
}

export function readSnapshot(ask: Ask, { reader, meta, bytes, begin }: RemoteSnapshot): Snapshot {
  const read = (from: SnapshotPosition): Promise<SnapshotFrames> => {
    const frames = ask<SnapshotFrames>({ op: 'readSnapshot', reader, from, bytesMax: PIECE_BYTES })
    frames.catch(() => undefined)
    return frames
  }
  return {
    meta,
    bytes,
    async *chunks() {
      for (let next: Promise<SnapshotFrames> | null = read(begin); next !== null; ) {
        const frames: SnapshotFrames = await next
        // The next piece is read while this one is used.
        next = frames.next === null ? null : read(frames.next)
        yield* chunksIn(frames.bytes)
      }
    },
    async close() {
      await ask({ op: 'closeSnapshot', reader }).catch(() => undefined)
    },
  }
}
