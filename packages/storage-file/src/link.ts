import { Worker } from 'node:worker_threads'
import { AntiphonError } from '@antiphon/ports'
import type { Disk, Reply, Request } from './engine/index.ts'
import { EngineThread, type ThreadData, type ThreadSettings } from './engine-thread.ts'

/** The way to an engine, in this thread or another. Replies come in order, never from inside `post`. */
export interface Link {
  post(request: Request, transfer: ArrayBuffer[]): void
  end(): Promise<void>
}

export interface LinkHandler {
  reply(reply: Reply): void
  /** The engine is gone; nothing comes any more. */
  lost(error: AntiphonError): void
}

/** Opens the way. @throws AntiphonError */
export type Connect = (handler: LinkHandler) => Promise<Link>

export function localLink(disk: Disk, settings: ThreadSettings, handler: LinkHandler): Link {
  const thread = new EngineThread(disk, settings, (reply) => handler.reply(reply), null)
  return {
    post: (request) => thread.receive(request),
    end: async () => thread.stop(),
  }
}

export function workerLink(data: ThreadData, handler: LinkHandler): Link {
  const worker = startWorker(data)
  let ended = false
  const lose = (what: string, cause?: unknown): void => {
    if (ended) return
    ended = true
    handler.lost(
      new AntiphonError('DISK_FAILED', what, { outcome: 'unknown', cause, remedy: 'Start the replica again; if this comes back, report it with its cause.' }),
    )
  }
  worker.on('message', (reply: Reply) => {
    if (!ended) handler.reply(reply)
  })
  worker.on('error', (error) => lose(`the store's worker thread failed: ${error instanceof Error ? error.message : String(error)}`, error))
  worker.on('exit', (code) => lose(`the store's worker thread ended with code ${code}`))
  return {
    post: (request, transfer) => worker.postMessage(request, transfer),
    async end() {
      ended = true
      await worker.terminate()
    },
  }
}

/** Node 20 loads no TypeScript in a worker, so that sources use the one that was built. Of the process's own options, such as loaders and conditions, none is for it. */
function startWorker(workerData: ThreadData): Worker {
  const options = { workerData, execArgv: [], name: 'antiphon-storage' }
  if (import.meta.url.endsWith('.ts')) return new Worker(new URL('../dist/worker.js', import.meta.url), options)
  return new Worker(new URL('./worker.js', import.meta.url), options)
}
