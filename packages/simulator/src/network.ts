import type { Address, Lane, PeerId, Transport, TransportHandler } from '@antiphon/ports'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'

/** What the network is like. Changed while it runs: by faults, and by healing. */
export interface NetworkConditions {
  /** One way, milliseconds. */
  delayLow: number
  delayHigh: number
  /** How often a frame takes `spikeMs` longer; what follows it in its lane waits behind it. */
  spikeChance: number
  spikeMs: number
  /** How often a frame that is sent in the same instant as its predecessor arrives together with it. */
  coalesceChance: number
  /** Longest time between a loss and the moment when an end notices it: until then the connection is half open. */
  noticeMs: number
  redialLow: number
  redialHigh: number
  /** Bytes under way in one lane, beyond which `send` refuses. */
  laneBytesMax: number
}

/** A network without trouble. */
export function calm(): NetworkConditions {
  return {
    delayLow: 0.2,
    delayHigh: 2,
    spikeChance: 0,
    spikeMs: 0,
    coalesceChance: 0.8,
    noticeMs: 5,
    redialLow: 5,
    redialHigh: 60,
    laneBytesMax: 4 * 1024 * 1024,
  }
}

/** No transport takes a larger one: the connection ends. */
const FRAME_BYTES_MAX = 1024 * 1024
const FLIP_CHANCE = 0.02

const PASSAGES: readonly Passage[] = ['open', 'cut', 'hole']
const LANES: readonly Lane[] = ['control', 'entries', 'bulk']

interface Delivery {
  readonly at: number
  readonly frames: (readonly Uint8Array[])[]
  bytes: number
}

interface LaneState {
  /** No later frame of this lane arrives before it: FIFO. */
  lastAt: number
  lastSentAt: number
  lastDelivery: Delivery | null
  bytesUnderWay: number
  refused: boolean
  /** Arrived at a cut: they go on when it heals. */
  held: Delivery[]
  /** On a slow link: when what was sent so far has left. */
  busyUntil: number
}

/** One direction of a link. `cut`: nothing comes through. `hole`: a connection comes up and is never broken, and nothing that is said on it arrives. */
export type Passage = 'open' | 'cut' | 'hole'

/** One side of one connection. Its lanes are those on which it *sends*. */
interface End {
  readonly transport: SimTransport
  readonly number: number
  readonly link: Link
  other: End
  state: 'coming' | 'up' | 'down'
  /** What would arrive here later is lost. */
  cutAt: number
  /** The other side is gone but the word of it is held up by a cut. */
  wordHeld: boolean
  readonly lanes: Record<Lane, LaneState>
}

interface Link {
  readonly low: PeerId
  readonly high: PeerId
  /** By the id of the sending side; what is missing is open. */
  readonly passages: Map<PeerId, Passage>
  /** The same. */
  readonly slow: Map<PeerId, { readonly until: number; readonly bytesPerMs: number }>
  /** Both ends of the connection that neither side has given up; null while dialling. */
  live: [End, End] | null
  dialling: boolean
}

/** All links between the members of one simulation. */
export class SimNetwork {
  readonly timeline: Timeline
  readonly random: SeededRandom
  readonly trace: Trace
  readonly conditions: NetworkConditions
  readonly describe: (bytes: Uint8Array) => string
  readonly #transports = new Map<PeerId, SimTransport>()
  readonly #links = new Map<number, Link>()
  /** Connections that one side or both have yet to hear of. */
  readonly #coming = new Set<End>()
  frames = 0
  #slowUntil = 0
  #slowFactor = 1
  #flipUntil = 0

  constructor(timeline: Timeline, random: SeededRandom, trace: Trace, conditions: NetworkConditions, describe: (bytes: Uint8Array) => string) {
    this.timeline = timeline
    this.random = random
    this.trace = trace
    this.conditions = conditions
    this.describe = describe
  }

  /** A transport for one incarnation of member `id`. */
  transport(id: PeerId): SimTransport {
    return new SimTransport(this, id)
  }

  /** Changes the direction from `from` to `to`. What is under way stays under way and arrives when it is open again, unless the connection is lost meanwhile. */
  pass(from: PeerId, to: PeerId, passage: Passage): void {
    const link = this.#link(from, to)
    const before = passageOf(link, from)
    if (before === passage) return
    link.passages.set(from, passage)
    this.trace.add(this.timeline.now, 0, 11, from * 256 + to, PASSAGES.indexOf(passage), () => `${passage} ${from} -> ${to}`)
    if (passage === 'open') for (const end of this.#endsOf(link)) if (end.transport.id === to) this.#resume(end)
  }

  /** What leaves `from` for `to` until then has so little room: a queue grows, and whoever fills it is refused. */
  throttle(from: PeerId, to: PeerId, until: number, bytesPerMs: number): void {
    this.#link(from, to).slow.set(from, { until, bytesPerMs })
  }

  /** No cuts, and no trouble from here on. */
  heal(): void {
    for (const link of this.#links.values()) {
      this.pass(link.low, link.high, 'open')
      this.pass(link.high, link.low, 'open')
      link.slow.clear()
    }
    this.#slowUntil = 0
    this.#flipUntil = 0
    const { laneBytesMax } = this.conditions
    Object.assign(this.conditions, calm(), { laneBytesMax })
  }

  /** Everything takes `factor` times as long. */
  slowUntil(time: number, factor: number): void {
    this.#slowUntil = time
    this.#slowFactor = factor
  }

  /** Some frames arrive with one bit changed. */
  flipUntil(time: number): void {
    this.#flipUntil = time
  }

  /** The connection between two members breaks: each direction loses what would have arrived later than a moment from now, each end notices in its own time. */
  sever(a: PeerId, b: PeerId): boolean {
    const link = this.#link(a, b)
    if (link.live === null) return false
    const ends = link.live
    this.trace.add(this.timeline.now, 0, 12, a * 256 + b, 0, () => `connection ${a} - ${b} breaks`)
    link.live = null
    for (const end of ends) {
      end.cutAt = Math.min(end.cutAt, this.timeline.now + this.random.span(0, 3))
      this.#noticeLater(end, 'connection reset')
    }
    this.#dial(link)
    return true
  }

  /** Both sides dial: another connection comes up beside the one that there is, and takes its place, at each side in its own time. What was said on the old one is lost where the new one is up. */
  redial(a: PeerId, b: PeerId): boolean {
    const link = this.#link(a, b)
    const low = this.#transports.get(link.low)
    const high = this.#transports.get(link.high)
    if (link.live === null || low === undefined || high === undefined || isCut(link)) return false
    this.trace.add(this.timeline.now, 0, 13, a * 256 + b, 0, () => `${a} and ${b} are connected a second time`)
    this.#connect(link, low, high)
    return true
  }

  /** Called by a transport that has started or whose peers have changed. */
  register(transport: SimTransport): void {
    this.#transports.set(transport.id, transport)
    for (const [id, other] of this.#transports) {
      if (id === transport.id) continue
      const link = this.#link(transport.id, id)
      if (transport.wants(id) && other.wants(transport.id)) this.#dial(link)
      else if (link.live !== null) this.sever(transport.id, id)
    }
  }

  /** The process is gone. `graceful`: what it had sent still arrives. */
  unregister(transport: SimTransport, graceful: boolean): void {
    if (this.#transports.get(transport.id) === transport) this.#transports.delete(transport.id)
    const ends = new Set(transport.ends.values())
    for (const end of this.#coming) if (end.transport === transport) ends.add(end)
    for (const end of ends) {
      end.state = 'down'
      this.#coming.delete(end)
      if (end.link.live?.includes(end) === true) end.link.live = null
      const other = end.other
      if (!graceful) other.cutAt = Math.min(other.cutAt, this.timeline.now + this.random.span(0, 3))
      this.#noticeLater(other, 'closed by the peer')
    }
    transport.ends.clear()
  }

  /** One side gives the connection up. */
  abandon(end: End, reason: string): void {
    if (end.link.live?.includes(end) === true) end.link.live = null
    this.timeline.after(0, end.transport.id, () => this.#down(end, reason))
    this.#noticeLater(end.other, 'closed by the peer')
    this.#dial(end.link)
  }

  send(end: End, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const state = end.lanes[lane]
    let bytes = 0
    for (const piece of pieces) bytes += piece.length
    if (bytes > FRAME_BYTES_MAX) {
      this.sever(end.transport.id, end.other.transport.id)
      return true
    }
    if (state.bytesUnderWay > 0 && state.bytesUnderWay + bytes > this.conditions.laneBytesMax) {
      state.refused = true
      return false
    }
    state.bytesUnderWay += bytes
    this.frames++
    const now = this.timeline.now
    const last = state.lastDelivery
    const slow = end.link.slow.get(end.transport.id)
    const isSlow = slow !== undefined && now < slow.until
    if (last !== null && !isSlow && state.lastSentAt === now && last.at > now && this.random.chance(this.conditions.coalesceChance)) {
      last.frames.push(pieces)
      last.bytes += bytes
      return true
    }
    if (isSlow) state.busyUntil = Math.min(slow.until, Math.max(state.busyUntil, now) + bytes / slow.bytesPerMs)
    const delivery: Delivery = { at: Math.max(state.lastAt, (isSlow ? state.busyUntil : now) + this.delay()), frames: [pieces], bytes }
    state.lastAt = delivery.at
    state.lastSentAt = now
    state.lastDelivery = delivery
    this.#deliver(end.other, lane, delivery, delivery.at)
    return true
  }

  #deliver(end: End, lane: Lane, delivery: Delivery, at: number): void {
    this.timeline.at(at, end.transport.id, () => this.#arrive(end, lane, delivery))
  }

  delay(): number {
    const { delayLow, delayHigh, spikeChance, spikeMs } = this.conditions
    const delay = this.random.span(delayLow, delayHigh) * (this.timeline.now < this.#slowUntil ? this.#slowFactor : 1)
    return spikeChance > 0 && this.random.chance(spikeChance) ? delay + this.random.span(0, spikeMs) : delay
  }

  #arrive(end: End, lane: Lane, delivery: Delivery): void {
    const sending = end.other.lanes[lane]
    if (sending.lastDelivery === delivery) sending.lastDelivery = null
    if (end.state !== 'up' || this.timeline.now > end.cutAt) return
    if (sending.held.length > 0 || passageOf(end.link, end.other.transport.id) !== 'open') {
      sending.held.push(delivery)
      return
    }
    sending.bytesUnderWay -= delivery.bytes
    if (sending.refused && sending.bytesUnderWay <= this.conditions.laneBytesMax / 2) {
      sending.refused = false
      this.#drainSoon(end.other)
    }
    for (const pieces of delivery.frames) {
      // A handler may have closed the connection while it took the frame before.
      if (end.state !== 'up') return
      const bytes = joined(pieces)
      if (this.timeline.now < this.#flipUntil && this.random.chance(FLIP_CHANCE)) bytes[this.random.below(bytes.length)]! ^= 1 << this.random.below(8)
      const from = end.other.transport.id
      // A frame's head begins with its checksum and its run ends in the history's: together they stand for all of it.
      const line = this.trace.isRead ? this.#lineOf(from, bytes) : null
      this.trace.add(this.timeline.now, end.transport.id, from, wordAt(bytes, 0), wordAt(bytes, bytes.length - 4), line)
      end.transport.handler.frame(from, end.number, lane, bytes)
    }
  }

  #lineOf(from: PeerId, bytes: Uint8Array): () => string {
    return () => `<- ${from}  ${this.describe(bytes)}`
  }

  #drainSoon(sender: End): void {
    this.timeline.after(this.random.span(0, 1), sender.transport.id, () => {
      if (sender.state === 'up') sender.transport.handler.drain(sender.other.transport.id, sender.number)
    })
  }

  /** The direction towards `end` is open again. */
  #resume(end: End): void {
    if (end.wordHeld) {
      end.wordHeld = false
      this.#noticeLater(end, 'closed by the peer')
    }
    for (const lane of LANES) {
      const sending = end.other.lanes[lane]
      const held = sending.held
      sending.held = []
      let at = this.timeline.now
      for (const delivery of held) {
        at += this.delay()
        this.#deliver(end, lane, delivery, at)
      }
      sending.lastAt = Math.max(sending.lastAt, at)
    }
  }

  #noticeLater(end: End, reason: string): void {
    if (end.state === 'down') return
    if (passageOf(end.link, end.other.transport.id) !== 'open') {
      end.wordHeld = true
      return
    }
    this.timeline.after(this.random.span(0, this.conditions.noticeMs), end.transport.id, () => this.#down(end, reason))
  }

  #down(end: End, reason: string): void {
    if (end.state === 'down') return
    const wasUp = end.state === 'up'
    end.state = 'down'
    this.#coming.delete(end)
    const peer = end.other.transport.id
    if (end.transport.ends.get(peer) === end) end.transport.ends.delete(peer)
    if (end.link.live?.includes(end) === true) {
      end.link.live = null
      this.#dial(end.link)
    }
    if (!wasUp) return
    this.trace.add(this.timeline.now, end.transport.id, 2, peer, end.number, () => `connection ${end.number} with ${peer} is down: ${reason}`)
    end.transport.handler.down(peer, end.number, reason)
  }

  #dial(link: Link): void {
    if (link.dialling) return
    link.dialling = true
    this.timeline.after(this.random.span(this.conditions.redialLow, this.conditions.redialHigh), 0, () => {
      link.dialling = false
      if (link.live !== null) return
      const low = this.#transports.get(link.low)
      const high = this.#transports.get(link.high)
      if (low === undefined || high === undefined || !low.wants(link.high) || !high.wants(link.low)) return
      if (isCut(link)) this.#dial(link)
      else this.#connect(link, low, high)
    })
  }

  #connect(link: Link, low: SimTransport, high: SimTransport): void {
    const a = makeEnd(low, link)
    const b = makeEnd(high, link)
    a.other = b
    b.other = a
    link.live = [a, b]
    for (const end of link.live) {
      this.#coming.add(end)
      const upAt = this.timeline.now + this.delay()
      for (const lane of LANES) end.other.lanes[lane].lastAt = upAt
      this.timeline.at(upAt, end.transport.id, () => this.#up(end))
    }
  }

  #up(end: End): void {
    this.#coming.delete(end)
    if (end.state !== 'coming' || end.transport.closed) return
    const { transport, other } = end
    const peer = other.transport.id
    const earlier = transport.ends.get(peer)
    if (earlier !== undefined) {
      this.#down(earlier, 'a new connection takes its place')
      this.#noticeLater(earlier.other, 'closed by the peer')
    }
    end.state = 'up'
    transport.ends.set(peer, end)
    this.trace.add(this.timeline.now, transport.id, 3, peer, end.number, () => `connection ${end.number} with ${peer} is up`)
    if (transport.handler.up(peer, end.number, other.transport.greeting.slice())) return
    end.state = 'down'
    transport.ends.delete(peer)
    if (end.link.live?.includes(end) === true) end.link.live = null
    this.#noticeLater(other, 'refused by the peer')
    this.#dial(end.link)
  }

  #endsOf(link: Link): End[] {
    const ends = new Set<End>()
    for (const [id, peer] of [
      [link.low, link.high],
      [link.high, link.low],
    ] as const) {
      const end = this.#transports.get(id)?.ends.get(peer)
      if (end !== undefined) ends.add(end)
    }
    for (const end of link.live ?? []) ends.add(end)
    return [...ends]
  }

  #link(a: PeerId, b: PeerId): Link {
    const low = a < b ? a : b
    const high = a < b ? b : a
    const key = low * 256 + high
    let link = this.#links.get(key)
    if (link === undefined) {
      link = { low, high, passages: new Map(), slow: new Map(), live: null, dialling: false }
      this.#links.set(key, link)
    }
    return link
  }
}

/** The port, for one incarnation of one member. */
export class SimTransport implements Transport {
  readonly id: PeerId
  readonly ends: Map<PeerId, End> = new Map()
  readonly #network: SimNetwork
  #peers: ReadonlyMap<PeerId, Address> = new Map()
  #handler: TransportHandler | null = null
  #greeting: Uint8Array = new Uint8Array(0)
  #connections = 0
  closed = false

  constructor(network: SimNetwork, id: PeerId) {
    this.#network = network
    this.id = id
  }

  get handler(): TransportHandler {
    return this.#handler!
  }
  get greeting(): Uint8Array {
    return this.#greeting
  }

  wants(peer: PeerId): boolean {
    return this.#handler !== null && this.#peers.has(peer)
  }

  nextConnection(): number {
    return ++this.#connections
  }

  async start(_self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    this.#greeting = greeting.slice()
    this.#handler = handler
    this.#network.register(this)
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    this.#peers = new Map(peers)
    if (this.#handler !== null) this.#network.register(this)
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const end = this.ends.get(to)
    return end !== undefined && end.state === 'up' && this.#network.send(end, pieces, lane)
  }

  disconnect(peer: PeerId, connection: number): void {
    const end = this.ends.get(peer)
    if (end !== undefined && end.number === connection) this.#network.abandon(end, 'disconnected here')
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.#network.unregister(this, true)
  }

  /** The process dies: no more calls of the handler, what was under way from here is lost in part. */
  crash(): void {
    this.closed = true
    this.#network.unregister(this, false)
  }
}

function makeEnd(transport: SimTransport, link: Link): End {
  const lanes = { control: makeLane(), entries: makeLane(), bulk: makeLane() }
  const end = {
    transport,
    number: transport.nextConnection(),
    link,
    state: 'coming',
    cutAt: Number.POSITIVE_INFINITY,
    wordHeld: false,
    lanes,
  } as unknown as End
  end.other = end
  return end
}

function makeLane(): LaneState {
  return { lastAt: 0, lastSentAt: -1, lastDelivery: null, bytesUnderWay: 0, refused: false, held: [], busyUntil: 0 }
}

function passageOf(link: Link, from: PeerId): Passage {
  return link.passages.get(from) ?? 'open'
}

/** Nobody can connect across a cut, in whichever direction it is. */
function isCut(link: Link): boolean {
  return passageOf(link, link.low) === 'cut' || passageOf(link, link.high) === 'cut'
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

const SLAB_BYTES = 64 * 1024
let slab = new Uint8Array(0)
let slabUsed = 0

/** Memory of its own within a larger piece: a piece for each frame would cost more than the frame. */
function memory(length: number): Uint8Array {
  if (length > SLAB_BYTES / 4) return new Uint8Array(length)
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  slabUsed += length
  return slab.subarray(slabUsed - length, slabUsed)
}

/** Copied when it is "written", not when it is handed over: a sender that changes its pieces meanwhile breaks the frame's checksum and is found out. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const piece of pieces) length += piece.length
  const bytes = memory(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
