import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AntiphonError, type EpochEnd, type Epochs, type Founding, type Run, type StoreId, type Zxid } from '@antiphon/ports'
import { type Point, restoredError, type StoredError } from '@antiphon/storage-kit'
import { damaged } from './format.ts'

/** A sub-database with a part of the log. */
export interface SegmentDescription {
  readonly database: string
  /** The ZXID before its first entry. */
  readonly previous: Zxid
  /** Of its last entry that is in the history; `previous` when it has none. */
  readonly last: Zxid
  /** Of its entries, those that are in the history. */
  readonly entries: number
}

/** What an environment held at one moment. */
export interface Moment {
  readonly storeId: StoreId
  readonly founding: Founding | null
  readonly epochs: Epochs
  readonly generation: number
  readonly commits: number
  /** What the log begins behind. */
  readonly start: Point
  readonly tail: Point
  readonly endPoints: readonly EpochEnd[]
  readonly segments: readonly SegmentDescription[]
  /** Databases that nothing refers to. */
  readonly leftovers: readonly string[]
}

export type Question =
  | { readonly ask: 'open'; readonly path: string; readonly marker: StoreId }
  | { readonly ask: 'point'; readonly zxid: Zxid }
  | { readonly ask: 'read'; readonly after: Zxid; readonly upTo: Zxid; readonly bytesMax: number }

export interface Request {
  readonly id: number
  readonly question: Question
}

export type Reply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: StoredError }

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: AntiphonError) => void
}

/** A question is a piece of a second's work, unless damaged pages lead LMDB in a circle. */
const ANSWER_MS_MAX = 60_000

/**
 * Reads an environment in a process of its own: LMDB trusts its pages, so that damaged ones may end the process that reads them; and within one process it would share what is open with the store that writes.
 */
export class ViewProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #lost: AntiphonError | null = null
  #asked = 0

  constructor() {
    // Node 20 loads no TypeScript by itself, so that sources use the one that was built.
    const script = new URL(import.meta.url.endsWith('.ts') ? '../dist/view-child.js' : './view-child.js', import.meta.url)
    this.#child = fork(fileURLToPath(script), [], { execArgv: [], serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#child.on('message', (reply: Reply) => this.#receive(reply))
    this.#child.on('error', (error) => this.#lose(failed(`it could not be started: ${error.message}`)))
    this.#child.on('exit', (code, signal) =>
      this.#lose(signal === null ? failed(`it ended with code ${code}`) : damaged('LMDB', `what it read has ended it with ${signal}`, { signal })),
    )
  }

  /** @throws AntiphonError CORRUPT, VERSION_MISMATCH, DISK_FAILED */
  open(path: string, marker: StoreId): Promise<Moment> {
    return this.#ask({ ask: 'open', path, marker })
  }

  pointAt(zxid: Zxid): Promise<Point | null> {
    return this.#ask({ ask: 'point', zxid })
  }

  read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<Run[]> {
    return this.#ask({ ask: 'read', after, upTo, bytesMax })
  }

  /** Idempotent. */
  end(): void {
    this.#lost ??= failed('it was ended')
    if (this.#child.connected) this.#child.disconnect()
  }

  async #ask<T>(question: Question): Promise<T> {
    if (this.#lost !== null) throw this.#lost
    const id = ++this.#asked
    const late = setTimeout(() => {
      this.#lose(damaged('LMDB', 'it has not come to an end with what it read'))
      this.#child.kill('SIGKILL')
    }, ANSWER_MS_MAX)
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve as (value: never) => void, reject })
        this.#child.send({ id, question } satisfies Request, (error) => {
          if (error !== null) setImmediate(() => this.#lose(failed(error.message)))
        })
      })
    } finally {
      clearTimeout(late)
    }
  }

  #receive(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('error' in reply) waiting?.reject(restoredError(reply.error))
    else waiting?.resolve(reply.value as never)
  }

  #lose(error: AntiphonError): void {
    this.#lost ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#lost)
    this.#waiting.clear()
  }
}

function failed(how: string): AntiphonError {
  return new AntiphonError('DISK_FAILED', `the process that reads the environment: ${how}`, { remedy: 'Try again; if this comes back, report it.' })
}
