import { mkdir, open, readdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AntiphonError, type LogStore } from '@antiphon/ports'
import { diskError, type EngineOptions, engineSettings, foreignFolder, isForeign } from './engine/index.ts'
import type { ThreadData } from './engine-thread.ts'
import { lockFolder, type Unlock } from './folder-lock.ts'
import { type Connect, localLink, workerLink } from './link.ts'
import { NodeDisk } from './node-disk.ts'
import { StoreClient } from './store-client.ts'

export interface FileStorageOptions extends EngineOptions {
  /** Made if it is not there. One store at a time; nobody else's files. */
  readonly folder: string
  /** Does its I/O in the thread that uses it, by synchronous calls: for places without worker threads. Every flush then holds the event loop. */
  readonly mainThread?: boolean
  /** How long a batch may be the last before an empty one follows it, so that its rot can be told from tearing: a tick. 100 unless told. */
  readonly sealAfterMs?: number
}

/**
 * A `LogStore` in a folder: a segmented log and snapshots, every batch flushed before it is reported. The I/O is done in a worker thread of its own.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function fileStorage(options: FileStorageOptions): LogStore {
  const { folder, mainThread = false, sealAfterMs = 100, ...engine } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('`folder` must name a folder', 'Give the path of a folder that belongs to this store alone.')
  if (!(sealAfterMs > 0 && sealAfterMs < 2 ** 31)) throw invalid(`sealAfterMs must be above 0, not ${sealAfterMs}`, 'Correct `sealAfterMs`, or leave it out.')
  engineSettings(engine)
  return new StoreClient(connectTo({ ...engine, folder: resolve(folder), sealAfterMs }, mainThread))
}

/** Takes the folder, for as long as the link lasts. */
function connectTo(data: ThreadData, mainThread: boolean): Connect {
  return async (handler) => {
    const unlock = await take(data.folder).catch((error) => {
      throw diskError(error, 'opening', data.folder)
    })
    const link = mainThread ? localLink(new NodeDisk(data.folder), data, handler) : workerLink(data, handler)
    return {
      post: (request, transfer) => link.post(request, transfer),
      async end() {
        await link.end()
        await unlock()
      },
    }
  }
}

async function take(folder: string): Promise<Unlock> {
  const existing = await stat(folder).catch(() => null)
  if (existing !== null && !existing.isDirectory())
    throw invalid(`${folder} is a file, not a folder`, 'Give the path of a folder that belongs to this store alone.')
  const created = await mkdir(folder, { recursive: true })
  if (created !== undefined) await flushNames(folder, dirname(created))
  const names = await readdir(folder)
  if (isForeign(names)) throw foreignFolder(names)
  return lockFolder(folder)
}

/** Makes the names of folders durable: from `folder` itself up to the one in `above`. */
async function flushNames(folder: string, above: string): Promise<void> {
  if (process.platform === 'win32') return
  for (let at = dirname(folder); ; at = dirname(at)) {
    const handle = await open(at, 'r')
    await handle.sync().finally(() => handle.close())
    if (at === above || at === dirname(at)) return
  }
}

function invalid(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}
