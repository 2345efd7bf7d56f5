import type { Data } from '../program.ts'
import { CODES, refuse } from './codes.ts'
import type { Nodes } from './nodes.ts'

export const QUOTA = '/zookeeper/quota'
const LIMITS = 'zookeeper_limits'
export const STATS = 'zookeeper_stats'

/** The deepest ancestor that has limits, itself included. */
export function quotaOf(nodes: Nodes, path: string): string | null {
  for (let prefix = path; prefix !== ''; prefix = prefix.slice(0, prefix.lastIndexOf('/'))) if (nodes.has(`${QUOTA}${prefix}/${LIMITS}`)) return prefix
  return null
}

function parsed(data: Data): Map<string, number> {
  const pairs = (data ?? '').split(/[,;]+/).filter((pair) => pair !== '')
  return new Map(
    pairs.map((pair) => {
      const [key, value] = pair.split('=')
      return [key!, value === '' ? -1 : Number(value)]
    }),
  )
}

/** The stray `=` is ZooKeeper's own: what old parsers need. */
function told(values: ReadonlyMap<string, number>): string {
  const others = [...values.keys()].filter((key) => key !== 'count' && key !== 'bytes').sort()
  const text = `count=${values.get('count') ?? -1},bytes=${values.get('bytes') ?? -1}`
  return others.length === 0 ? text : `${text}=${others.map((key) => `;${key}=${values.get(key)}`).join('')}`
}

export function usageOf(data: Data, bytes: number, count: number): string {
  const values = parsed(data)
  values.set('count', (values.get('count') ?? -1) + count)
  values.set('bytes', (values.get('bytes') ?? -1) + bytes)
  return told(values)
}

export function recounted(nodes: Nodes, path: string): string {
  const below = [...nodes].filter(([other]) => other === path || other.startsWith(`${path}/`))
  return `count=${below.length},bytes=${below.reduce((sum, [, { data }]) => sum + (data?.length ?? 0), 0)}`
}

export interface Usage {
  readonly count: number
  readonly bytes: number
}

const NONE: Usage = { count: 0, bytes: 0 }

/** What was accepted and is not applied, by the path of the quota. */
export class Accepted {
  readonly #usage: Map<string, Usage>
  readonly #nodes: Nodes

  /** `nodes`: as applied. */
  constructor(nodes: Nodes, before?: Accepted) {
    this.#nodes = nodes
    this.#usage = new Map(before === undefined ? [] : before.#usage)
  }

  charge(path: string, bytes: number, count: number): void {
    const quota = quotaOf(this.#nodes, path)
    if (quota === null) return
    const before = this.#usage.get(quota) ?? NONE
    this.#usage.set(quota, { count: before.count + count, bytes: before.bytes + bytes })
  }

  of(quota: string): Usage {
    return this.#usage.get(quota) ?? NONE
  }
}

export function checkQuota(nodes: Nodes, accepted: Accepted, path: string, bytes: number, count: number): void {
  const quota = quotaOf(nodes, path)
  const stats = quota === null ? undefined : nodes.get(`${QUOTA}${quota}/${STATS}`)
  if (quota === null || stats === undefined) return
  const more: Usage = { count: count + accepted.of(quota).count, bytes: bytes + accepted.of(quota).bytes }
  const limits = parsed(nodes.get(`${QUOTA}${quota}/${LIMITS}`)!.data)
  const used = parsed(stats.data)
  const over = (limit: string, key: 'count' | 'bytes'): boolean => {
    const hard = limits.get(limit) ?? -1
    return hard > -1 && (used.get(key) ?? -1) + more[key] > hard
  }
  if ((count !== 0 && over('countHardLimit', 'count')) || (bytes !== 0 && over('byteHardLimit', 'bytes'))) refuse(CODES.QUOTA_EXCEEDED)
}
