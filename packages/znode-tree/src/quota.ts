import { NO_NODE, type NodeIndex, type Quota } from './data-tree-types.ts'
import { FLAGS, HAS_LIMITS } from './store/records.ts'
import { LIMITS_NAME, QUOTA_NODE, type TreeState } from './store/tree-state.ts'

export const QUOTA_PATH = '/zookeeper/quota'
export const STATS_NAME = 'zookeeper_stats'
const NONE = -1
const INTEGER = /^[+-]?\d{1,16}$/
const TEXT_BYTES_MAX = 4096

/** What a limits or a stats node says: `count=1,bytes=2`, and of further keys `=;byteHardLimit=3;countHardLimit=4` behind it (the lone `=` is what old parsers need). */
export class StatsTrack {
  readonly #values = new Map<string, number>()

  /** Of any text: what makes no sense is not there, for everybody may write to these nodes. */
  static parse(data: Uint8Array | null): StatsTrack {
    const track = new StatsTrack()
    if (data === null || data.length > TEXT_BYTES_MAX) return track
    for (const pair of String.fromCharCode(...data).split(/[,;]+/)) {
      const [key = '', value = ''] = pair.split('=')
      const number = value === '' ? NONE : INTEGER.test(value) ? Number(value) : Number.NaN
      if (key !== '' && Number.isSafeInteger(number)) track.#values.set(key, number)
    }
    return track
  }

  get(key: 'count' | 'bytes' | 'countHardLimit' | 'byteHardLimit'): number {
    return this.#values.get(key) ?? NONE
  }

  set(key: 'count' | 'bytes', value: number): void {
    this.#values.set(key, value)
  }

  encode(): Uint8Array {
    let text = `count=${this.get('count')},bytes=${this.get('bytes')}`
    const others = [...this.#values.keys()].filter((key) => key !== 'count' && key !== 'bytes').sort()
    if (others.length > 0) text += '='
    for (const key of others) text += `;${key}=${this.#values.get(key)}`
    return Uint8Array.from(text, (character) => character.charCodeAt(0))
  }
}

/** The nodes below `/zookeeper/quota` are the whole of it: the one that stands for a path has HAS_LIMITS when that path has a quota. */
export class Quotas {
  readonly #state: TreeState

  constructor(state: TreeState) {
    this.#state = state
  }

  /** As in ZooKeeper, without a stats node nothing is counted, and nothing can be exceeded. */
  of(path: string): Quota | null {
    const { store } = this.#state
    const quota = this.#deepest(path)
    const stats = quota === NO_NODE ? NO_NODE : this.#child(quota, STATS_NAME)
    if (stats === NO_NODE) return null
    const used = StatsTrack.parse(store.data(stats))
    const limit = StatsTrack.parse(store.data(this.#child(quota, LIMITS_NAME)))
    return {
      path: store.path(quota).slice(QUOTA_PATH.length),
      count: used.get('count'),
      bytes: used.get('bytes'),
      countLimit: limit.get('count'),
      bytesLimit: limit.get('bytes'),
      countHardLimit: limit.get('countHardLimit'),
      bytesHardLimit: limit.get('byteHardLimit'),
    }
  }

  /** The path has so many nodes, so many bytes more or less. */
  charge(path: string, bytes: number, count: number): void {
    const quota = this.#deepest(path)
    const stats = quota === NO_NODE ? NO_NODE : this.#child(quota, STATS_NAME)
    if (stats === NO_NODE) return
    const track = StatsTrack.parse(this.#state.store.data(stats))
    track.set('count', track.get('count') + count)
    track.set('bytes', track.get('bytes') + bytes)
    this.#write(stats, track)
  }

  /** Writes what there is into the stats node of the quota that `quota` stands for, if it has one. */
  recount(quota: NodeIndex): void {
    const state = this.#state
    const stats = this.#child(quota, STATS_NAME)
    const path = state.store.path(quota).slice(QUOTA_PATH.length)
    if (stats === NO_NODE || path === '') return
    const root = state.store.find(path, path.length)
    const track = new StatsTrack()
    let count = 0
    let bytes = 0
    for (let node = root; node !== NO_NODE; node = state.following(node, root)) {
      count++
      bytes += state.dataLength(node)
    }
    track.set('count', count)
    track.set('bytes', bytes)
    this.#write(stats, track)
  }

  /** All of them, for a tree that came from elsewhere. */
  recountAll(): void {
    for (let node = QUOTA_NODE; node !== NO_NODE; node = this.#state.following(node, QUOTA_NODE)) {
      if ((this.#state.store.word(node, FLAGS) & HAS_LIMITS) !== 0) this.recount(node)
    }
  }

  /** Neither its Stat nor a watch tells of it. */
  #write(stats: NodeIndex, track: StatsTrack): void {
    const { store } = this.#state
    if (store.versions.busy) store.versions.touch(stats)
    const text = track.encode()
    store.setData(stats, text, 0, text.length)
    this.#state.digest.mark(stats)
  }

  #child(quota: NodeIndex, name: string): NodeIndex {
    return this.#state.store.findChild(quota, name, 0, name.length)
  }

  /** The node below `/zookeeper/quota` that stands for the longest prefix of `path` that has limits. `/` has none. */
  #deepest(path: string): NodeIndex {
    const { store } = this.#state
    let deepest = NO_NODE
    let quota = QUOTA_NODE
    for (let start = 1; start < path.length; ) {
      const slash = path.indexOf('/', start)
      const end = slash < 0 ? path.length : slash
      quota = store.findChild(quota, path, start, end)
      if (quota === NO_NODE) break
      if ((store.word(quota, FLAGS) & HAS_LIMITS) !== 0) deepest = quota
      start = end + 1
    }
    return deepest
  }
}
