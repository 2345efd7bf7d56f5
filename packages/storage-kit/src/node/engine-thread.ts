import { type Engine, EngineServer, type Reply, type Request } from '../index.ts'

/** Whoever makes one write durable after the other asks again within so long, in milliseconds: looking is cheaper than being woken. */
const LOOK_MS = 0.1
/** So many in a row at most, or what can wait would wait for ever. */
const LOOKS_IN_A_ROW = 16
/** Behind a look in vain so many rests go without one: who writes seldom does not pay for it. */
const RESTS_WITHOUT = 32

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
  #looks = 0
  #restsWithout = 0

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
    while (this.#server.step() || this.#look(drain, receive))
    this.#looks = 0
    this.#wait()
  }

  /** Has something come in the next moment? */
  #look(drain: (receive: (request: Request) => void) => void, receive: (request: Request) => void): boolean {
    if (this.#restsWithout > 0) {
      this.#restsWithout--
      return false
    }
    if (++this.#looks > LOOKS_IN_A_ROW) return false
    const until = performance.now() + LOOK_MS
    let came = false
    do
      drain((request) => {
        came = true
        receive(request)
      })
    while (!came && performance.now() < until)
    if (!came) this.#restsWithout = RESTS_WITHOUT
    return came
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
