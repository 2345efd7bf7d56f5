import { AntiphonError } from '@antiphon/ports'
import type { Stat } from '@antiphon/znode-tree'
import { corruptValue } from './errors.ts'
import type { Codec, Created, CreateOptions, NodeValue, ReadOptions, Session, TypedNode, VersionOptions } from './types.ts'
import type { SessionWatch } from './watch.ts'

export class ZnodeValue<T> implements TypedNode<T> {
  readonly path: string
  readonly #session: Session
  readonly #codec: Codec<T>
  readonly #watch: (path: string, signal: AbortSignal | undefined) => SessionWatch

  constructor(session: Session, path: string, codec: Codec<T>, watch: (path: string, signal: AbortSignal | undefined) => SessionWatch) {
    this.#session = session
    this.path = path
    this.#codec = codec
    this.#watch = watch
  }

  async get(options: ReadOptions = {}): Promise<NodeValue<T> | null> {
    try {
      const { data, stat } = await this.#session.getData(this.path, options)
      return { value: this.#decode(data), stat }
    } catch (thrown) {
      if (isRefused(thrown, 'NO_NODE')) return null
      throw thrown
    }
  }

  create(value: T, options: CreateOptions = {}): Promise<Created> {
    return this.#session.create(this.path, this.#codec.encode(value), options)
  }

  set(value: T, options: VersionOptions = {}): Promise<Stat> {
    return this.#session.setData(this.path, this.#codec.encode(value), options)
  }

  async put(value: T, options: CreateOptions = {}): Promise<Stat> {
    while (true) {
      try {
        return await this.#session.setData(this.path, this.#codec.encode(value), limitsOf(options))
      } catch (thrown) {
        if (!isRefused(thrown, 'NO_NODE')) throw thrown
      }
      try {
        return (await this.create(value, options)).stat
      } catch (thrown) {
        if (!isRefused(thrown, 'NODE_EXISTS')) throw thrown
      }
    }
  }

  async update(change: (value: T | null) => T | undefined, options: ReadOptions = {}): Promise<NodeValue<T> | null> {
    while (true) {
      const found = await this.get(options)
      const value = change(found === null ? null : found.value)
      if (value === undefined) return found
      try {
        if (found === null) return { value, stat: (await this.create(value, limitsOf(options))).stat }
        return { value, stat: await this.set(value, { ...limitsOf(options), version: found.stat.version }) }
      } catch (thrown) {
        // Somebody was faster. Of a create, NO_NODE means the parent, and asking again is in vain.
        const isLate = found === null ? isRefused(thrown, 'NODE_EXISTS') : isRefused(thrown, 'BAD_VERSION') || isRefused(thrown, 'NO_NODE')
        if (!isLate) throw thrown
      }
    }
  }

  delete(options: VersionOptions = {}): Promise<void> {
    return this.#session.delete(this.path, options)
  }

  values({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeValue<T> | null> {
    const leaving = new AbortController()
    const values = this.#values(leaving.signal, signal)
    const iterator: AsyncIterableIterator<NodeValue<T> | null> = {
      next: () => values.next(),
      return: () => {
        // Else it would be left when the next value has come.
        leaving.abort()
        return values.return()
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  async *#values(leaving: AbortSignal, signal: AbortSignal | undefined): AsyncGenerator<NodeValue<T> | null, void, undefined> {
    using watch = this.#watch(this.path, signal)
    leaving.addEventListener('abort', () => watch.close())
    const changes = watch[Symbol.asyncIterator]()
    let told: NodeValue<T> | null | undefined
    while (true) {
      // The read shows it.
      watch.skip()
      const found = await this.get()
      if (told === undefined || found?.stat.mzxid !== told?.stat.mzxid) {
        told = found
        yield found
      }
      if ((await changes.next()).done === true) return
    }
  }

  #decode(data: Uint8Array | null): T {
    try {
      return this.#codec.decode(data)
    } catch (thrown) {
      throw corruptValue(this.path, thrown)
    }
  }
}

function isRefused(thrown: unknown, code: string): boolean {
  return thrown instanceof AntiphonError && thrown.code === 'REFUSED' && thrown.refusal === code
}

function limitsOf({ signal, timeoutMs }: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): { signal?: AbortSignal; timeoutMs?: number } {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}
