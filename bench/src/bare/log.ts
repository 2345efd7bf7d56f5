import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const SEGMENT_BYTES = 64 * 1024 * 1024

/** A file that is appended to in a worker thread of its own. `onDurable` tells how many bytes a crash would leave. */
export class BareLog {
  readonly #worker: Worker
  #closed = false

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async open(file: string, onDurable: (bytes: number) => void): Promise<BareLog> {
    const worker = new Worker(new URL('./log-worker.js', import.meta.url), { workerData: { file, segmentBytes: SEGMENT_BYTES } })
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
