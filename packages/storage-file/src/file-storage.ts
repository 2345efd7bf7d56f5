import { resolve } from 'node:path'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { AntiphonError, type LogStore } from '@antiphon/ports'
import { assertFolder, inFolder, localLink, NodeDisk, StoreClient, workerLink } from '@antiphon/storage-kit/node'
import { type EngineOptions, engineSettings, FileEngine, MARKER_NAME } from './engine/index.ts'

export interface FileStorageOptions extends EngineOptions {
  /** Made if it is not there. One store at a time; nobody else's files. */
  readonly folder: string
  /** Does its I/O in the thread that uses it, by synchronous calls: for places without worker threads. Every flush then holds the event loop. */
  readonly mainThread?: boolean
  /** How long a batch may be the last before an empty one follows it, so that its rot can be told from tearing: a tick. 100 unless told. */
  readonly sealAfterMs?: number
}

/** What the worker is told at its start. */
export interface ThreadData extends EngineOptions {
  readonly folder: string
  readonly sealAfterMs: number
}

/**
 * A `LogStore` in a folder: a segmented log and snapshots, every batch flushed before it is reported. The I/O is done in a worker thread of its own.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function fileStorage(options: FileStorageOptions): LogStore {
  const { folder, mainThread = false, sealAfterMs = 100, ...engine } = options
  assertFolder(folder)
  if (!(sealAfterMs > 0 && sealAfterMs < 2 ** 31)) {
    throw new AntiphonError('INVALID_SETTINGS', `sealAfterMs must be above 0, not ${sealAfterMs}`, { remedy: 'Correct `sealAfterMs`, or leave it out.' })
  }
  engineSettings(engine)
  const data: ThreadData = { ...engine, folder: resolve(folder), sealAfterMs }
  return new StoreClient(
    inFolder(data.folder, MARKER_NAME, (handler) =>
      mainThread ? localLink(new FileEngine(new NodeDisk(data.folder), data), handler, sealAfterMs) : workerLink(startWorker, data, handler),
    ),
  )
}

/** Node 20 loads no TypeScript in a worker, so that sources use the one that was built. */
function startWorker(options: WorkerOptions): Worker {
  if (import.meta.url.endsWith('.ts')) return new Worker(new URL('../dist/worker.js', import.meta.url), options)
  return new Worker(new URL('./worker.js', import.meta.url), options)
}
