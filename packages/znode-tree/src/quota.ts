import type { Quota } from './data-tree-types.ts'

export const QUOTA_PATH = '/zookeeper/quota'
export const LIMITS_NAME = 'zookeeper_limits'
export const STATS_NAME = 'zookeeper_stats'

/** What a limits or a stats node says: `count=1,bytes=2`, and of further keys `=;byteHardLimit=3;countHardLimit=4` behind it (the lone `=` is what old parsers need). */
export class StatsTrack {
  readonly #values = new Map<string, number>()

  /** Of any text: what makes no sense is not there, for everybody may write to these nodes. */
  static parse(data: Uint8Array | null): StatsTrack {
    const track = new StatsTrack()
    if (data === null || data.length === 0 || data.length > TEXT_BYTES_MAX) return track
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

const NONE = -1
const INTEGER = /^[+-]?\d{1,16}$/
const TEXT_BYTES_MAX = 4096

export function quotaFrom(path: string, limits: Uint8Array | null, stats: Uint8Array | null): Quota {
  const limit = StatsTrack.parse(limits)
  const used = StatsTrack.parse(stats)
  return {
    path,
    count: used.get('count'),
    bytes: used.get('bytes'),
    countLimit: limit.get('count'),
    bytesLimit: limit.get('bytes'),
    countHardLimit: limit.get('countHardLimit'),
    bytesHardLimit: limit.get('byteHardLimit'),
  }
}
