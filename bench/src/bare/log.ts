import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Where a history is kept. */
export type Medium = 'file' | 'lmdb'

const WORKERS: Readonly<Record<Medium, URL>> = {
  file: new URL('./log-worker.js', import.meta.url),
  lmdb: new URL('./lmdb-worker.js', import.meta.url),
}
const SEGMENT_BYTES = 64 * 1024 * 1024

/** A file, or an LMDB environment, that is appended to in a worker thread of its own. `onDurable` tells how many bytes a crash would leave. */
export class BareLog {
  readonly #worker: Worker
  #closed = false

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async open(medium: Medium, file: string, onDurable: (bytes: number) => void): Promise<BareLog> {
    const worker = new Worker(WORKERS[medium], { workerData: { file, segmentBytes: SEGMENT_BYTES } })
    worker.on('error', (error) => {
      throw error
    })
    await once(worker, 'message')
    worker.on('message', onDurable)
    return new BareLog(worker)
  }

  /** Takes the memory over: it is gone for the caller. */
  append(memory: ArrayBuffer): void {
    if (!this.#closed) this.#worker.postMessage(memory, [memory])
  }

  async close(): Promise<void> {
    const ended = once(this.#worker, 'exit')
    this.#closed = true
    this.#worker.postMessage(null)
    await ended
  }
}
