import { type EngineOptions, EngineServer, FileEngine, type Reply, type Request } from './engine/index.ts'
import { NodeDisk } from './node-disk.ts'

/** What the thread that hosts an engine is told at its start. */
export interface ThreadData extends EngineOptions {
  readonly folder: string
  readonly sealAfterMs: number
}

/**
 * An engine on a folder, in the thread that makes it: works off what has come in, then what can wait, then sleeps. `drain` fetches requests that have come meanwhile, where
 * they do not come by themselves while the thread is busy; without it each step is a turn of the event loop of its own.
 */
export class EngineThread {
  readonly #engine: FileEngine
  readonly #server: EngineServer
  readonly #drain: ((receive: (request: Request) => void) => void) | null
  readonly #sealAfterMs: number
  #scheduled = false
  #sealing: NodeJS.Timeout | null = null
  #batchAtRest = 0

  constructor(data: ThreadData, reply: (reply: Reply, transfer: ArrayBuffer[]) => void, drain: ((receive: (request: Request) => void) => void) | null) {
    this.#engine = new FileEngine(new NodeDisk(data.folder), data)
    this.#server = new EngineServer(this.#engine, reply)
    this.#drain = drain
    this.#sealAfterMs = data.sealAfterMs
  }

  receive(request: Request): void {
    this.#server.receive(request)
    if (this.#drain === null) this.#later()
    else this.#workOff(this.#drain)
  }

  /** Ends what would keep the thread busy. */
  stop(): void {
    if (this.#sealing !== null) clearTimeout(this.#sealing)
  }

  #workOff(drain: (receive: (request: Request) => void) => void): void {
    const receive = (request: Request): void => this.#server.receive(request)
    do drain(receive)
    while (this.#server.step() || this.#engine.background())
    this.#rest()
  }

  #later(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#server.step() || this.#engine.background()) this.#later()
      else this.#rest()
    })
  }

  /** A batch that nothing follows for a while is sealed (rule 2). */
  #rest(): void {
    if (this.#engine.sealed || this.#sealing !== null) return
    this.#batchAtRest = this.#engine.lastBatch
    this.#sealing = setTimeout(() => {
      this.#sealing = null
      if (this.#engine.lastBatch === this.#batchAtRest) this.#engine.seal()
      else this.#rest()
    }, this.#sealAfterMs)
    this.#sealing.unref()
  }
}
