import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { AntiphonError, invalidArgument, type LogStore, type Snapshot, type StoredState } from '@antiphon/ports'
import { chunksIn, diskError, type SnapshotPosition, type SnapshotSource } from '../index.ts'

const PIECE_BYTES = 256 * 1024

/** A store's folder as it stood when it was opened, for reading. */
export interface FolderView<Description> extends Pick<LogStore, 'read' | 'openSnapshot' | 'close'> {
  readonly state: StoredState
  readonly description: Description
  /** Damage that a store would go on in spite of. */
  readonly troubles?: readonly AntiphonError[]
  /** A store has the folder open. */
  readonly inUse: boolean
}

/** @throws AntiphonError INVALID_ARGUMENT, DISK_FAILED */
export async function existingFolder(folder: unknown): Promise<string> {
  if (typeof folder !== 'string' || folder === '') throw invalidArgument('no folder is named', "Name a store's folder.")
  const path = resolve(folder)
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw invalidArgument(`there is no folder ${path}`, "Name a store's folder.")
    throw diskError(error, 'opening', path)
  })
  if (!found.isDirectory()) throw invalidArgument(`${path} is a file, not a folder`, "Name a store's folder.")
  return path
}

/** A snapshot that the calling thread reads. `expectOpen` throws when the view is closed. */
export function snapshotOf(source: SnapshotSource, close: () => void, expectOpen: () => void): Snapshot {
  const { meta, bytes } = source
  return {
    meta,
    bytes,
    async *chunks() {
      for (let position: SnapshotPosition | null = source.begin; position !== null; ) {
        expectOpen()
        const frames: { readonly bytes: Uint8Array; readonly next: SnapshotPosition | null } = source.read(position, PIECE_BYTES)
        yield* chunksIn(frames.bytes)
        position = frames.next
      }
    },
    async close() {
      close()
    },
  }
}

export function folderClosed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the folder is closed', { remedy: 'Open it again.' })
}
