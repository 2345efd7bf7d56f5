import type { Address, Transport } from '@antiphon/ports'
import { MemoryTransport, type Neighbourhood } from './endpoint.ts'
import { type Delay, invalid, type MemoryNetworkOptions, networkSettings, sampleDelay, validateDelay } from './options.ts'
import { Link, Turns } from './pipe.ts'

export interface CutOptions {
  /** Nobody is told: connections stay, and what is sent is lost. Those that lost something end when the cut heals. */
  readonly silent?: boolean
}

/**
 * A network inside this process, with faults to order. It knows addresses (any non-empty text), and a fault is said of a link: the way from one address to another.
 * Links are whole when nothing was said about them, and remember what was said when transports come and go.
 */
export class MemoryNetwork {
  readonly #turns: Turns
  readonly #endpoints: Map<Address, MemoryTransport> = new Map()
  readonly #links: Map<Address, Map<Address, Link>> = new Map()
  readonly #neighbourhood: Neighbourhood

  /** @throws AntiphonError INVALID_SETTINGS */
  constructor(options: MemoryNetworkOptions = {}) {
    const turns = new Turns(networkSettings(options))
    this.#turns = turns
    const { clock, random } = turns.settings
    this.#neighbourhood = {
      turns,
      listening: (address) => this.#endpoints.get(address) ?? null,
      listen: (address, endpoint) => {
        if (this.#endpoints.has(address)) return false
        this.#endpoints.set(address, endpoint)
        return true
      },
      unlisten: (address, endpoint) => {
        if (this.#endpoints.get(address) === endpoint) this.#endpoints.delete(address)
      },
      link: (from, to) => this.#link(from, to),
      travel: (link, callback) => {
        const delay = sampleDelay(link.delay, random)
        if (delay > 0) return clock.schedule(delay, callback)
        let wanted = true
        clock.defer(() => {
          if (wanted) callback()
        })
        return () => {
          wanted = false
        }
      },
    }
  }

  /** A transport that listens at `address` once started. One at a time can be started there. @throws AntiphonError INVALID_SETTINGS */
  transport(address: Address): Transport {
    if (typeof address !== 'string' || address === '')
      throw invalid('an address in a memory network is a non-empty text', 'Name each replica, such as `a` or `node-1`.')
    return new MemoryTransport(address, this.#neighbourhood)
  }

  /** Cuts both ways. Connections end, and what is under way is lost; unless `silent`, both sides are told at once. */
  cut(a: Address, b: Address, options: CutOptions = {}): void {
    if (options.silent !== true) for (const pipe of this.#link(a, b).pipes) pipe.from.connection.snap('cut')
    this.cutOneWay(a, b)
    this.cutOneWay(b, a)
  }

  /** What goes from `from` to `to` is lost, what is under way included; nobody is told. A connection that lost something ends when the cut heals. */
  cutOneWay(from: Address, to: Address): void {
    const link = this.#link(from, to)
    link.state = 'cut'
    for (const pipe of link.pipes) pipe.cut()
  }

  /** Cuts each of these groups off from the others. Links inside a group, and those of addresses that are not named, stay as they are. */
  partition(groups: readonly (readonly Address[])[], options: CutOptions = {}): void {
    groups.forEach((group, index) => {
      for (const other of groups.slice(index + 1)) for (const a of group) for (const b of other) this.cut(a, b, options)
    })
  }

  /** Frames from `from` to `to` wait, in order and unharmed; nothing can connect. */
  hold(from: Address, to: Address): void {
    this.#link(from, to).state = 'held'
  }

  /** Ends a `hold`. */
  release(from: Address, to: Address): void {
    const link = this.#link(from, to)
    if (link.state === 'held') this.#open(link)
  }

  /** Makes the links between `a` and `b` whole, or all links: cuts and holds end, delays stay. */
  heal(a?: Address, b?: Address): void {
    if (a !== undefined && b !== undefined) {
      this.#open(this.#link(a, b))
      this.#open(this.#link(b, a))
    } else {
      for (const links of this.#links.values()) for (const link of links.values()) this.#open(link)
    }
  }

  /** What is sent from now on takes this long; a lane's frames never overtake each other, those of different lanes do. */
  delay(from: Address, to: Address, delayMs: Delay): void {
    validateDelay(delayMs)
    this.#link(from, to).delay = delayMs
  }

  /** Breaks the connection. Part of what is under way still arrives, the tail is lost; both sides are told. They connect again. */
  drop(a: Address, b: Address): void {
    for (const pipe of this.#link(a, b).pipes) pipe.from.connection.sever('dropped')
  }

  /** Breaks the connection on the side of `at` alone: `other` believes in it until `at` connects again. */
  dropAt(at: Address, other: Address): void {
    this.#endpoints.get(at)?.forsake(other)
  }

  /** The transport at `address` is gone, its handler hears nothing more, and its peers are not told. A new one may start there. */
  crash(address: Address): void {
    this.#endpoints.get(address)?.crash()
  }

  #open(link: Link): void {
    link.state = 'open'
    for (const pipe of link.pipes) {
      if (pipe.broken) pipe.from.connection.sever('frames were lost in a cut')
      else pipe.wake()
    }
  }

  #link(from: Address, to: Address): Link {
    let links = this.#links.get(from)
    if (links === undefined) {
      links = new Map()
      this.#links.set(from, links)
    }
    let link = links.get(to)
    if (link === undefined) {
      link = new Link(this.#turns, this.#turns.settings.delayMs)
      links.set(to, link)
    }
    return link
  }
}
