import { createServer, type Server, Socket } from 'node:net'
import type { Heal, LinkEffects, Links, Way } from './links.ts'

/** Bytes that a direction holds before its sender is no longer read. */
const HELD_BYTES_MAX = 1024 * 1024
const SLOW_MS_MIN = 5
const SLOW_MS_MAX = 305

/** What travels from one member to another, on whoever's connection. */
class Direction {
  holds = 0
  delays: number[] = []
  /** Pieces that came while it was held, or slow. */
  held = 0
  slowed = 0
  readonly #streams = new Set<Stream>()

  get delayMs(): number {
    return Math.max(0, ...this.delays)
  }

  carry(from: Socket, to: Socket): void {
    const stream = new Stream(this, from, to)
    this.#streams.add(stream)
    from.once('close', () => this.#streams.delete(stream))
  }

  changed(): void {
    for (const stream of this.#streams) stream.pump()
  }
}

class Stream {
  readonly #direction: Direction
  readonly #from: Socket
  readonly #to: Socket
  readonly #queue: { readonly bytes: Buffer; readonly due: number }[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | null = null

  constructor(direction: Direction, from: Socket, to: Socket) {
    this.#direction = direction
    this.#from = from
    this.#to = to
    from.on('data', (bytes: Buffer) => {
      if (direction.holds > 0) direction.held++
      if (direction.delays.length > 0) direction.slowed++
      this.#queue.push({ bytes, due: performance.now() + direction.delayMs })
      this.#bytes += bytes.length
      this.pump()
    })
    to.on('drain', () => this.pump())
    from.once('close', () => {
      if (this.#timer !== null) clearTimeout(this.#timer)
    })
  }

  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    while (this.#direction.holds === 0 && !this.#to.writableNeedDrain && this.#queue.length > 0) {
      const wait = this.#queue[0]!.due - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait)
        break
      }
      const { bytes } = this.#queue.shift()!
      this.#bytes -= bytes.length
      this.#to.write(bytes)
    }
    if (this.#bytes > HELD_BYTES_MAX) this.#from.pause()
    else this.#from.resume()
  }
}

/**
 * Every member reaches every other through a listener of its own here. A direction can be held (nothing arrives and nobody is told, as when packets are lost: what was sent arrives when it heals), a pair can
 * be cut (its connections end, new ones end as well), and a direction can be slow.
 */
export class ProxyLinks implements Links {
  readonly name = 'proxy'
  readonly unplug = null
  readonly #ids: readonly number[]
  readonly #servers = new Map<string, Server>()
  readonly #targets = new Map<number, { readonly host: string; readonly port: number }>()
  readonly #directions = new Map<string, Direction>()
  readonly #cuts = new Map<string, number>()
  readonly #sockets = new Map<string, Set<Socket>>()
  #connectionsEnded = 0

  private constructor(ids: readonly number[]) {
    this.#ids = ids
  }

  static async open(ids: readonly number[]): Promise<ProxyLinks> {
    const links = new ProxyLinks(ids)
    for (const from of ids)
      for (const to of ids) {
        if (from === to) continue
        links.#directions.set(`${from}-${to}`, new Direction())
        const server = createServer((socket) => links.#accepted(from, to, socket))
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', resolve)
        })
        links.#servers.set(`${from}-${to}`, server)
      }
    return links
  }

  /** Its own is told and never dialled. */
  addressesFor(from: number): Record<number, string> {
    const port = (to: number): number => (this.#servers.get(`${from}-${to}`)?.address() as { port: number } | undefined)?.port ?? 1
    return Object.fromEntries(this.#ids.map((to) => [to, `127.0.0.1:${port(to)}`]))
  }

  listenAt(): string {
    return '127.0.0.1:0'
  }

  commandFor(_id: number, command: readonly string[]): readonly string[] {
    return command
  }

  setTarget(member: number, address: string | null): void {
    if (address === null) this.#targets.delete(member)
    else this.#targets.set(member, { host: address.slice(0, address.lastIndexOf(':')), port: Number(address.slice(address.lastIndexOf(':') + 1)) })
  }

  async hold(ways: readonly Way[]): Promise<Heal> {
    const directions = this.#directionsOf(ways)
    for (const direction of directions) direction.holds++
    return () => {
      for (const direction of directions) {
        direction.holds--
        direction.changed()
      }
    }
  }

  async slow(ways: readonly Way[], amount: number): Promise<Heal> {
    const delayMs = SLOW_MS_MIN + Math.floor(amount * (SLOW_MS_MAX - SLOW_MS_MIN))
    const directions = this.#directionsOf(ways)
    for (const direction of directions) direction.delays.push(delayMs)
    return () => {
      for (const { delays } of directions) delays.splice(delays.indexOf(delayMs), 1)
    }
  }

  async cut(pairs: readonly Way[]): Promise<Heal> {
    const names = pairs.map(([one, other]) => pairOf(one, other))
    for (const pair of names) {
      this.#cuts.set(pair, (this.#cuts.get(pair) ?? 0) + 1)
      const sockets = this.#sockets.get(pair) ?? new Set()
      this.#connectionsEnded += sockets.size / 2
      for (const socket of sockets) socket.destroy()
    }
    return () => {
      for (const pair of names) this.#cuts.set(pair, this.#cuts.get(pair)! - 1)
    }
  }

  async effects(): Promise<LinkEffects> {
    const sum = (field: 'held' | 'slowed'): number => [...this.#directions.values()].reduce((all, direction) => all + direction[field], 0)
    return { connectionsEnded: Math.ceil(this.#connectionsEnded), held: sum('held'), slowed: sum('slowed') }
  }

  async close(): Promise<void> {
    for (const sockets of this.#sockets.values()) for (const socket of sockets) socket.destroy()
    await Promise.all([...this.#servers.values()].map((server) => new Promise((resolve) => server.close(resolve))))
  }

  #directionsOf(ways: readonly Way[]): Direction[] {
    return ways.map(([from, to]) => this.#directions.get(`${from}-${to}`)!)
  }

  #accepted(from: number, to: number, near: Socket): void {
    const target = this.#targets.get(to)
    const pair = pairOf(from, to)
    near.on('error', () => {})
    if (target === undefined || (this.#cuts.get(pair) ?? 0) > 0) {
      near.destroy()
      return
    }
    const far = new Socket()
    far.on('error', () => {})
    const sockets = this.#sockets.get(pair) ?? new Set()
    this.#sockets.set(pair, sockets)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.setNoDelay(true)
      sockets.add(socket)
      socket.once('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    far.connect(target.port, target.host)
    this.#directions.get(`${from}-${to}`)!.carry(near, far)
    this.#directions.get(`${to}-${from}`)!.carry(far, near)
  }
}

function pairOf(one: number, other: number): string {
  return one < other ? `${one}+${other}` : `${other}+${one}`
}
