import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Heal, LinkEffects, Links, Way } from './links.ts'

/** Of a network that nothing else is joined to. */
const NETWORK = '10.73.0'
const PORT = 7300
/** The namespace of the bridge. */
const HUB = 0
/** Who is not root may be it in a user namespace of their own, where the machine allows that. */
const ROOTLESS = process.getuid?.() !== 0
/** In packets: a queue that never fills, and one that does. */
const QUEUE = 1000
const SLOW_QUEUE = 50
const FREE_BITS = 10_000_000_000
const SLOW_BITS_MIN = 64_000
const SLOW_BITS_MAX = 2_000_000

/**
 * Each member in a network namespace of its own, joined to the others by veth and a bridge in one more. What travels from one to another passes a class of the traffic control at the bridge's port to the
 * receiver: with no room in its queue nothing arrives; with a rate, it is slow. Cut links are unreachable at both ends, and their sockets ended.
 *
 * No namespace has a name: a process with our pipe as its standard input keeps each of them, so that the kernel takes all of it away when this process ends, however it ends.
 */
export class NamespaceLinks implements Links {
  readonly name = 'namespaces'
  readonly #keepers: ReadonlyMap<number, ChildProcess>
  readonly #holds = new Counts()
  readonly #cuts = new Counts()
  readonly #unplugged = new Counts()
  readonly #rates = new Map<string, number[]>()
  readonly #unreachable = new Set<string>()
  #connectionsEnded = 0
  /** One change at a time, each of what is wanted when its turn comes. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(keepers: ReadonlyMap<number, ChildProcess>) {
    this.#keepers = keepers
  }

  /** @throws Error with what the machine said */
  static async open(ids: readonly number[]): Promise<NamespaceLinks> {
    const keepers = new Map<number, ChildProcess>()
    const links = new NamespaceLinks(keepers)
    try {
      keepers.set(HUB, await keeper(ROOTLESS ? ['unshare', '--user', '--map-root-user', '--net'] : ['unshare', '--net']))
      for (const id of ids) keepers.set(id, await keeper([...links.#userOf(HUB), 'unshare', '--net']))
      await links.#in(
        HUB,
        ['ip', '-batch', '-'],
        [
          'link add name hub type bridge',
          'link set hub up',
          ...ids.flatMap((id) => [`link add name m${id} type veth peer name eth0 netns ${keepers.get(id)!.pid}`, `link set m${id} master hub up`]),
        ],
      )
      await links.#in(
        HUB,
        ['tc', '-batch', '-'],
        ids.flatMap((to) => classesTowards(to, ids)),
      )
      for (const id of ids) await links.#in(id, ['ip', '-batch', '-'], ['link set lo up', `addr add ${NETWORK}.${id}/24 dev eth0`, 'link set eth0 up'])
      return links
    } catch (error) {
      await links.close()
      throw error
    }
  }

  addressesFor(): Record<number, string> {
    return Object.fromEntries([...this.#keepers.keys()].filter((id) => id !== HUB).map((id) => [id, this.listenAt(id)]))
  }

  listenAt(id: number): string {
    return `${NETWORK}.${id}:${PORT}`
  }

  commandFor(id: number, command: readonly string[]): readonly string[] {
    return [...this.#userOf(id), 'nsenter', `--net=/proc/${this.#keepers.get(id)!.pid}/ns/net`, ...command]
  }

  setTarget(): void {}

  async hold(ways: readonly Way[]): Promise<Heal> {
    for (const way of ways) this.#holds.add(nameOf(way), 1)
    await this.#shape(ways)
    return () => {
      for (const way of ways) this.#holds.add(nameOf(way), -1)
      return this.#shape(ways)
    }
  }

  async slow(ways: readonly Way[], amount: number): Promise<Heal> {
    const rate = Math.round(SLOW_BITS_MAX * (SLOW_BITS_MIN / SLOW_BITS_MAX) ** amount)
    for (const way of ways) this.#rates.set(nameOf(way), [...(this.#rates.get(nameOf(way)) ?? []), rate])
    await this.#shape(ways)
    return () => {
      for (const way of ways) {
        const rates = this.#rates.get(nameOf(way))!
        rates.splice(rates.indexOf(rate), 1)
      }
      return this.#shape(ways)
    }
  }

  async cut(pairs: readonly Way[]): Promise<Heal> {
    const ways = pairs.flatMap(([one, other]): Way[] => [
      [one, other],
      [other, one],
    ])
    for (const way of ways) this.#cuts.add(nameOf(way), 1)
    await this.#route(ways)
    return () => {
      for (const way of ways) this.#cuts.add(nameOf(way), -1)
      return this.#route(ways)
    }
  }

  readonly unplug = async (id: number): Promise<Heal> => {
    const set = (): Promise<void> =>
      this.#next(() => this.#in(HUB, ['ip', '-batch', '-'], [`link set m${id} ${this.#unplugged.has(String(id)) ? 'down' : 'up'}`]))
    this.#unplugged.add(String(id), 1)
    await set()
    return () => {
      this.#unplugged.add(String(id), -1)
      return set()
    }
  }

  async effects(): Promise<LinkEffects> {
    const qdiscs = JSON.parse(await this.#in(HUB, ['tc', '-s', '-j', 'qdisc', 'show'], [])) as { kind: string; drops: number; overlimits: number }[]
    const roots = qdiscs.filter(({ kind }) => kind === 'htb')
    const sum = (field: 'drops' | 'overlimits'): number => roots.reduce((all, root) => all + root[field], 0)
    return { connectionsEnded: this.#connectionsEnded, held: sum('drops'), slowed: sum('overlimits') }
  }

  async close(): Promise<void> {
    await this.#turn
    await Promise.all(
      [...this.#keepers.values()].map(async (each) => {
        const ended = each.exitCode === null && each.signalCode === null ? once(each, 'exit') : null
        each.stdin!.end()
        await ended
      }),
    )
  }

  #userOf(id: number): readonly string[] {
    return ROOTLESS ? ['nsenter', '--preserve-credentials', `--user=/proc/${this.#keepers.get(id)!.pid}/ns/user`] : []
  }

  #shape(ways: readonly Way[]): Promise<void> {
    return this.#next(() =>
      this.#in(
        HUB,
        ['tc', '-batch', '-'],
        ways.flatMap((way) => this.#shapeOf(way)),
      ),
    )
  }

  #shapeOf(way: Way): string[] {
    const rates = this.#rates.get(nameOf(way)) ?? []
    const limit = this.#holds.has(nameOf(way)) ? 0 : rates.length > 0 ? SLOW_QUEUE : QUEUE
    return [`class change ${classOf(way, Math.min(FREE_BITS, ...rates))}`, `qdisc change ${queueOf(way, limit)}`]
  }

  #route(ways: readonly Way[]): Promise<void> {
    return this.#next(async () => {
      const changes = new Map<number, { readonly routes: string[]; readonly cut: string[] }>()
      for (const way of ways) {
        const [from, to] = way
        const wanted = this.#cuts.has(nameOf(way))
        if (wanted === this.#unreachable.has(nameOf(way))) continue
        if (wanted) this.#unreachable.add(nameOf(way))
        else this.#unreachable.delete(nameOf(way))
        const own = changes.get(from) ?? { routes: [], cut: [] }
        changes.set(from, own)
        own.routes.push(`route ${wanted ? 'add' : 'del'} unreachable ${NETWORK}.${to}/32`)
        if (wanted) own.cut.push(`${NETWORK}.${to}`)
      }
      // Before the routes: the other end is told.
      await Promise.all([...changes].map(([id, { cut }]) => this.#endSockets(id, cut)))
      await Promise.all([...changes].map(([id, { routes }]) => this.#in(id, ['ip', '-batch', '-'], routes)))
    })
  }

  async #endSockets(id: number, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return
    const told = await this.#in(
      id,
      ['ss', '--no-header', '--tcp', '--numeric', '--kill', ...addresses.flatMap((each, i) => [...(i > 0 ? ['or'] : []), 'dst', each])],
      [],
    )
    this.#connectionsEnded += told.split('\n').filter((line) => line.trim() !== '').length
  }

  #next(change: () => Promise<unknown>): Promise<void> {
    const done = this.#turn.then(change)
    this.#turn = done.catch(() => {})
    return done.then(() => {})
  }

  /** Runs a command in a namespace; resolves with what it printed. */
  async #in(id: number, command: readonly string[], input: readonly string[]): Promise<string> {
    const [program, ...rest] = this.commandFor(id, command)
    const child = spawn(program!, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
    let told = ''
    let wrong = ''
    child.stdout.on('data', (bytes: Buffer) => {
      told += bytes
    })
    child.stderr.on('data', (bytes: Buffer) => {
      wrong += bytes
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input.map((line) => `${line}\n`).join(''))
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`\`${command.join(' ')}\` in a network namespace: ${wrong.trim() || `status ${code}`}`)
    return told
  }
}

class Counts {
  readonly #of = new Map<string, number>()

  add(name: string, by: 1 | -1): void {
    this.#of.set(name, (this.#of.get(name) ?? 0) + by)
  }

  has(name: string): boolean {
    return (this.#of.get(name) ?? 0) > 0
  }
}

/** Keeps a new network namespace until its standard input ends. */
async function keeper([program, ...rest]: readonly string[]): Promise<ChildProcess> {
  const child = spawn(program!, [...rest, 'sh', '-c', 'echo && exec cat'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let wrong = ''
  child.stderr.on('data', (bytes: Buffer) => {
    wrong += bytes
  })
  const refused = once(child, 'close').then(([code]) => {
    throw new Error(`\`${[program, ...rest].join(' ')}\`: ${wrong.trim() || `status ${code}`}`)
  })
  refused.catch(() => {})
  await Promise.race([once(child.stdout, 'data'), refused])
  return child
}

function classesTowards(to: number, ids: readonly number[]): string[] {
  return [
    `qdisc add dev m${to} root handle 1: htb default f0`,
    `class add dev m${to} parent 1: classid 1:f0 htb rate ${FREE_BITS} quantum 60000`,
    ...ids
      .filter((from) => from !== to)
      .flatMap((from) => [
        `class add ${classOf([from, to], FREE_BITS)}`,
        `qdisc add ${queueOf([from, to], QUEUE)}`,
        `filter add dev m${to} parent 1: protocol ip prio 1 u32 match ip src ${NETWORK}.${from}/32 flowid 1:${from.toString(16)}`,
      ]),
  ]
}

function classOf([from, to]: Way, bits: number): string {
  return `dev m${to} parent 1: classid 1:${from.toString(16)} htb rate ${bits} quantum 60000`
}

function queueOf([from, to]: Way, limit: number): string {
  return `dev m${to} parent 1:${from.toString(16)} handle ${(16 + from).toString(16)}: pfifo limit ${limit}`
}

function nameOf([from, to]: Way): string {
  return `${from}-${to}`
}
