import { type MessagePort, parentPort, receiveMessageOnPort, type Worker, type WorkerOptions, workerData } from 'node:worker_threads'
import { AntiphonError } from '@antiphon/ports'
import type { Engine, Reply, Request } from '../index.ts'
import { EngineThread } from './engine-thread.ts'
import type { Link, LinkHandler } from './link.ts'

/** In a store whose batches need no seal it means nothing. */
const SEAL_AFTER_MS = 100

/** An engine in the thread that uses it. */
export function localLink(engine: Engine, handler: LinkHandler, sealAfterMs: number = SEAL_AFTER_MS): Link {
  const thread = new EngineThread(engine, sealAfterMs, (reply) => handler.reply(reply), null)
  return {
    post: (request) => thread.receive(request),
    end: async () => thread.stop(),
  }
}

/** An engine in a worker thread whose script calls `serveEngine`. `start` is written as `new Worker(new URL('./worker.js', import.meta.url), options)` where a bundler is to find the script. */
export function workerLink(start: (options: WorkerOptions) => Worker, data: unknown, handler: LinkHandler): Link {
  // Of the process's own options, such as loaders and conditions, none is for it.
  const worker = start({ workerData: data, execArgv: [], name: 'antiphon-storage' })
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

/** The whole of a worker's script. `make` is given what `workerLink` was given. */
export function serveEngine<Data>(make: (data: Data) => Engine, sealAfterMs: (data: Data) => number = () => SEAL_AFTER_MS): void {
  const port: MessagePort = parentPort!
  const data = workerData as Data
  const thread = new EngineThread(
    make(data),
    sealAfterMs(data),
    (reply, transfer) => port.postMessage(reply, transfer),
    (receive) => {
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) receive(next.message as Request)
    },
  )
  port.on('message', (request: Request) => thread.receive(request))
}
