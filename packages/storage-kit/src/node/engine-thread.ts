import { type Engine, EngineServer, type Reply, type Request } from '../index.ts'

/**
 * An engine, in the thread that makes it: works off what has come in, then what can wait, then sleeps. `drain` fetches requests that have come meanwhile, where
 * they do not come by themselves while the thread is busy; without it each step is a turn of the event loop of its own.
 */
export class EngineThread {
  readonly #engine: Engine
  readonly #server: EngineServer
  readonly #drain: ((receive: (request: Request) => void) => void) | null
  readonly #sealAfterMs: number
  #scheduled = false
  #stopped = false
  #sealing: NodeJS.Timeout | null = null
  #batchAtRest = 0

  constructor(
    engine: Engine,
    sealAfterMs: number,
    reply: (reply: Reply, transfer: ArrayBuffer[]) => void,
    drain: ((receive: (request: Request) => void) => void) | null,
  ) {
    this.#engine = engine
    this.#server = new EngineServer(engine, reply)
    this.#drain = drain
    this.#sealAfterMs = sealAfterMs
  }

  receive(request: Request): void {
    this.#server.receive(request)
    if (this.#drain === null) this.#later()
    else this.#workOff(this.#drain)
  }

  /** Nothing is done any more. */
  stop(): void {
    this.#stopped = true
    if (this.#sealing !== null) clearTimeout(this.#sealing)
  }

  #workOff(drain: (receive: (request: Request) => void) => void): void {
    const receive = (request: Request): void => this.#server.receive(request)
    do drain(receive)
    while (this.#server.step())
    this.#wait()
  }

  /** Nothing is asked: what can wait goes on step by step, each in a turn of its own, so that requests and the seal's timer come in between. */
  #wait(): void {
    const isLeft = this.#engine.background()
    this.#server.tell()
    this.#rest()
    if (isLeft) this.#later()
  }

  #later(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#stopped) return
      if (this.#drain !== null) this.#workOff(this.#drain)
      else if (this.#server.step()) this.#later()
      else this.#wait()
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
