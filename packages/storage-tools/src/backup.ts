import { type Checksum, formatZxid, invalidArgument, ZERO, type Zxid } from '@antiphon/ports'
import { ByteWriter, crc32 } from '@antiphon/wire'
import { BackupReader } from './backup-reader.ts'
import { type BackupEnd, type BackupHead, checksumOf, encodeEnd, encodeHead, FRAME_CHUNK, FRAME_END, FRAME_ENTRIES } from './format.ts'
import { runsBehind, type Source } from './source.ts'

export type { BackupEnd, BackupHead } from './format.ts'

export interface BackupOptions {
  /** The backup ends here: at or behind the newest snapshot. All that there is unless told, which may be more than was committed. */
  readonly upTo?: Zxid
}

/** What a backup that was read whole holds. */
export interface Backup extends BackupHead, BackupEnd {}

/**
 * A backup as a stream of bytes: newest snapshot and the entries behind it, with a checksum over each piece and all before it. Needs memory for one piece. Iterate it once.
 * @throws AntiphonError INVALID_ARGUMENT when the store is of no ensemble yet, or `upTo` lies before the snapshot; CORRUPT, and what the source throws
 */
export async function* backup(source: Source, { upTo = source.state.log.last }: BackupOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const { storeId, founding, epochs, log } = source.state
  if (founding === null)
    throw invalidArgument('the store belongs to no ensemble yet: there is nothing to back up', 'Back up a store of a member that has taken part.')
  const snapshot = await source.openSnapshot()
  try {
    const start = snapshot?.meta.zxid ?? ZERO
    if (upTo < start) {
      throw invalidArgument(`the newest snapshot is of ${formatZxid(start)}: no backup can end at ${formatZxid(upTo)}`, 'Choose a later ZXID, or leave it out.')
    }
    const head = encodeHead({ storeId, founding, epochs, snapshot: snapshot?.meta ?? null })
    const framer = new Framer(checksumOf(head))
    yield head
    const end = { chunks: 0, chunkBytes: 0, entries: 0, last: start, checksum: snapshot?.meta.checksum ?? 0 }
    for await (const chunk of snapshot?.chunks() ?? []) {
      end.chunks++
      end.chunkBytes += chunk.length
      yield framer.frame(FRAME_CHUNK, chunk)
    }
    for await (const run of runsBehind(source, start, upTo < log.last ? upTo : log.last)) {
      end.entries += run.entries
      end.last = run.last
      end.checksum = run.checksum
      yield framer.frame(FRAME_ENTRIES, run.bytes)
    }
    yield framer.frame(FRAME_END, encodeEnd(end))
  } finally {
    await snapshot?.close()
  }
}

/** Reads all of a backup. @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export async function verifyBackup(bytes: AsyncIterable<Uint8Array>): Promise<Backup> {
  const reader = await BackupReader.open(bytes)
  for await (const _ of reader.chunks());
  for await (const _ of reader.runs());
  return { ...reader.head, ...(await reader.end()) }
}

class Framer {
  #checksum: Checksum

  constructor(seed: Checksum) {
    this.#checksum = seed
  }

  frame(kind: number, bytes: Uint8Array): Uint8Array {
    const writer = new ByteWriter(bytes.length + 12).u32(bytes.length).u32(kind).raw(bytes)
    this.#checksum = crc32(writer.finish(), this.#checksum)
    return writer.u32(this.#checksum).finish()
  }
}
