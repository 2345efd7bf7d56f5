import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A process that cannot close goes anyway. */
const CLOSE_MS_MAX = 3000

interface Call {
  readonly number: number
  readonly command: string
  readonly argument: unknown
}

interface Reply {
  readonly number: number
  readonly value?: unknown
  readonly error?: string
}

/** A process of a measured ensemble: commands go to it one by one, each has one answer. It ends with us, however we end. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #ended: Promise<void>
  #calls = 0

  constructor(module: URL) {
    this.#process = fork(fileURLToPath(module), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.number)
      this.#waiting.delete(reply.number)
      if (reply.error === undefined) waiting?.resolve(reply.value)
      else waiting?.reject(new Error(reply.error))
    })
    this.#ended = new Promise((resolve) => {
      this.#process.on('exit', (code, signal) => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`a measured process ended with ${signal ?? code}`))
        this.#waiting.clear()
        resolve()
      })
    })
  }

  call<Value>(command: string, argument: unknown): Promise<Value> {
    const number = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve: resolve as (value: unknown) => void, reject })
      this.#process.send({ number, command, argument } satisfies Call, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  /** The process ends by itself when its channel closes; resolves when it has. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    const late = setTimeout(() => this.#process.kill('SIGKILL'), 5000)
    await this.#ended
    clearTimeout(late)
  }
}

/** The child's side: answers commands until the parent is gone. */
export function serve(commands: Readonly<Record<string, (argument: never) => Promise<unknown>>>, close: () => Promise<void>): void {
  process.on('message', (call: Call) => {
    const answer = (reply: Reply): void => void process.send?.(reply)
    Promise.resolve()
      .then(() => commands[call.command]!(call.argument as never))
      .then(
        (value) => answer({ number: call.number, value }),
        (error: unknown) => answer({ number: call.number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      )
  })
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), CLOSE_MS_MAX)
    close().finally(() => process.exit(0))
  })
}
