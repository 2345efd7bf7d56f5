import { resolve } from 'node:path'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { LogStore } from '@antiphon/ports'
import { assertFolder, inFolder, localLink, StoreClient, workerLink } from '@antiphon/storage-kit/node'
import { type EngineOptions, engineSettings, LmdbEngine } from './engine.ts'
import { MARKER_NAME } from './format.ts'

export interface LmdbStorageOptions extends EngineOptions {
  /** Made if it is not there. One store at a time; nobody else's files. */
  readonly folder: string
  /** Does its I/O in the thread that uses it, by synchronous calls: for places without worker threads. Every commit then holds the event loop. */
  readonly mainThread?: boolean
}

/** What the worker is told at its start. */
export interface ThreadData extends EngineOptions {
  readonly folder: string
}

/**
 * A `LogStore` in an LMDB environment: every batch is one transaction, flushed before it is reported. The I/O is done in a worker thread of its own.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function lmdbStorage(options: LmdbStorageOptions): LogStore {
  const { folder, mainThread = false, ...engine } = options
  assertFolder(folder)
  engineSettings(engine)
  const data: ThreadData = { ...engine, folder: resolve(folder) }
  return new StoreClient(
    inFolder(data.folder, MARKER_NAME, (handler) =>
      mainThread ? localLink(new LmdbEngine(data.folder, data), handler) : workerLink(startWorker, data, handler),
    ),
  )
}

/** Node 20 loads no TypeScript in a worker, so that sources use the one that was built. */
function startWorker(options: WorkerOptions): Worker {
  if (import.meta.url.endsWith('.ts')) return new Worker(new URL('../dist/worker.js', import.meta.url), options)
  return new Worker(new URL('./worker.js', import.meta.url), options)
}
