import type { AntiphonError } from '@antiphon/ports'
import type { Acl, WatchEvent, Watcher, WatchKind } from '@antiphon/znode-tree'
import type { Deliveries } from './deliveries.ts'
import type { Root } from './paths.ts'
import type { Watch } from './types.ts'

/** What a watch needs of its session. */
export interface WatchHost {
  readonly deliveries: Deliveries
  mayRead(acl: readonly Acl[]): boolean
  forget(watch: SessionWatch): void
}

/** One registration: a listener, or whoever iterates. */
export class SessionWatch implements Watch, Watcher {
  readonly path: string
  readonly kind: WatchKind
  /** As it is registered: below the chroot. */
  readonly target: string
  readonly #host: WatchHost
  readonly #root: Root
  readonly #listener: ((event: WatchEvent) => void) | null
  #events: WatchEvent[] = []
  /** Of each that iterates and has nothing to tell. */
  #waiting: (() => void)[] = []
  #unlisten: (() => void) | null = null
  #end: { readonly error: AntiphonError | null } | null = null

  constructor(host: WatchHost, root: Root, path: string, kind: WatchKind, listener: ((event: WatchEvent) => void) | null) {
    this.#host = host
    this.#root = root
    this.path = path
    this.target = root.in(path)
    this.kind = kind
    this.#listener = listener
  }

  get firesOnce(): boolean {
    return this.kind === 'data' || this.kind === 'children'
  }

  notify(event: WatchEvent): void {
    const seen = this.#seen(event)
    this.#host.deliveries.add(() => void this.#deliver(seen))
  }

  notifyAll(events: readonly WatchEvent[]): void {
    this.#host.deliveries.addRun(events.length, (index) => this.#deliver(this.#seen(events[index]!)))
  }

  mayRead(acl: readonly Acl[]): boolean {
    return this.#host.mayRead(acl)
  }

  endWith(signal: AbortSignal): void {
    const close = (): void => this.close()
    this.#unlisten = () => signal.removeEventListener('abort', close)
    signal.addEventListener('abort', close)
    if (signal.aborted) close()
  }

  close(): void {
    this.finish(null)
    this.#host.forget(this)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** The session is over: `error` says why, if it was not closed on purpose. */
  finish(error: AntiphonError | null): void {
    if (this.#end !== null) return
    this.#end = { error }
    this.#unlisten?.()
    this.#wake()
  }

  /** What waits for whoever iterates is not told any more: it is known by other means. */
  skip(): void {
    this.#events = []
  }

  /** Not a generator: that could not be left while it waits. */
  [Symbol.asyncIterator](): AsyncIterableIterator<WatchEvent> {
    let isOver = false
    const leave = (): IteratorReturnResult<undefined> => {
      isOver = true
      this.close()
      return { done: true, value: undefined }
    }
    const next = async (): Promise<IteratorResult<WatchEvent>> => {
      while (!isOver) {
        const event = this.#events.shift()
        if (event !== undefined) return { done: false, value: event }
        if (this.#end === null) await new Promise<void>((resolve) => void this.#waiting.push(resolve))
        else {
          const { error } = this.#end
          leave()
          if (error !== null) throw error
        }
      }
      return { done: true, value: undefined }
    }
    const iterator: AsyncIterableIterator<WatchEvent> = { next, return: async () => leave(), [Symbol.asyncIterator]: () => iterator }
    return iterator
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  #seen({ type, path, zxid }: WatchEvent): WatchEvent {
    return { type, path: this.#root.out(path), zxid }
  }

  /** False: the watch is over. */
  #deliver(event: WatchEvent): boolean {
    if (this.#end !== null) return false
    if (this.#listener === null) {
      this.#events.push(event)
      this.#wake()
    }
    if (this.firesOnce) this.close()
    this.#listener?.(event)
    return true
  }
}
