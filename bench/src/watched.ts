import type { LogStore, SnapshotMeta } from '@antiphon/ports'

export interface Saved {
  readonly meta: SnapshotMeta
  readonly bytes: number
  readonly ms: number
}

/** A store that tells when a snapshot has been saved whole, and how long that took. */
export class WatchedStore {
  readonly store: LogStore
  #waiting: ((saved: Saved) => void)[] = []
  onBegin: () => void = () => {}

  constructor(inner: LogStore) {
    const saveSnapshot: LogStore['saveSnapshot'] = async (meta, chunks) => {
      const begun = performance.now()
      this.onBegin()
      let bytes = 0
      const counted = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of chunks) {
          bytes += chunk.length
          yield chunk
        }
      }
      const kept = await inner.saveSnapshot(meta, counted())
      const ms = performance.now() - begun
      if (kept) for (const resolve of this.#waiting.splice(0)) resolve({ meta, bytes, ms })
      return kept
    }
    this.store = new Proxy(inner, {
      get(target, name) {
        if (name === 'saveSnapshot') return saveSnapshot
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
  }

  /** The next one that is saved. */
  saved(): Promise<Saved> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
