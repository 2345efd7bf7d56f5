import {
  before,
  type Chunk,
  CORE_DEFAULTS,
  Core,
  type CoreConfig,
  checkState,
  checkStep,
  checksumBehind,
  crc32,
  describeEffects,
  describeMessage,
  type Effects,
  entryLength,
  entryZxid,
  formatZxid,
  type Input,
  isQuorum,
  type Lane,
  laneOf,
  type Member,
  type Message,
  type Now,
  type PeerId,
  peerId,
  type Receive,
  RunBuilder,
  type SnapshotMeta,
  type Transfer,
  ZERO,
  type Zxid,
} from '@antiphon/consensus-core'
import { ModelStore } from './model-store.ts'

/** A connection's one direction: what was sent and not yet delivered, a queue for each lane. */
interface Pipe {
  readonly queues: Record<Lane, Message[]>
}

interface Link {
  readonly numbers: readonly [number, number]
  readonly pipes: readonly [Pipe, Pipe]
}

export interface Node {
  readonly id: PeerId
  store: ModelStore
  /** Null while crashed. */
  core: Core | null
  diskHeld: boolean
  /** Messages to ourselves that a write has permitted. */
  readonly inbox: Message[]
  /** What was taken in of a snapshot; outlives connections. */
  staging: { receive: Receive; readonly chunks: Uint8Array[] } | null
  readonly reads: string[]
  fault: string | null
}

export interface ClusterOptions {
  readonly voters: readonly number[]
  readonly observers?: readonly number[]
  readonly settings?: Partial<CoreConfig>
  readonly weights?: Readonly<Record<number, number>>
  readonly groups?: Readonly<Record<number, number>>
}

/**
 * Cores alone, on a model of network and disk, moved one event at a time. After every step the invariants of one core are checked, and across cores that
 * committed histories agree and that an epoch has one established leader.
 */
export class Cluster {
  readonly nodes = new Map<number, Node>()
  readonly #links = new Map<string, Link>()
  readonly #cut = new Set<string>()
  readonly #members: readonly Member[]
  readonly #settings: Partial<CoreConfig>
  readonly #committed = new Map<Zxid, number>()
  readonly #leaders = new Map<number, number>()
  /** By member: the core that was established last, and leads still. */
  readonly #reigns = new Map<number, Core>()
  readonly #streaming = new Set<object>()
  /** By member and number: what was committed when the read was asked. */
  readonly #reads = new Map<string, Zxid>()
  /** Of wall clocks, against the common one. */
  readonly skewMs = new Map<number, number>()
  readonly #builder = new RunBuilder()
  #time = 0
  #connections = 0
  #stores = 0
  #births = 0
  #committedTo: Zxid = ZERO
  /** How often each kind of message was delivered, each role was taken, each effect came. */
  readonly counts = new Map<string, number>()
  /** Called for each thing that happens. */
  trace: (line: string) => void = () => {}
  readonly transfers: { from: PeerId; transfer: Transfer }[] = []

  constructor(options: ClusterOptions) {
    const member = (id: number, role: 'voter' | 'observer'): Member => ({
      id: peerId(id),
      role,
      weight: options.weights?.[id] ?? 1,
      group: options.groups?.[id] ?? 0,
      storeId: null,
    })
    this.#members = [...options.voters.map((id) => member(id, 'voter')), ...(options.observers ?? []).map((id) => member(id, 'observer'))].sort(
      (a, b) => a.id - b.id,
    )
    this.#settings = options.settings ?? {}
    for (const { id } of this.#members) {
      this.nodes.set(id, { id, store: this.#freshStore(), core: null, diskHeld: false, inbox: [], staging: null, reads: [], fault: null })
    }
  }

  #freshStore(): ModelStore {
    return new ModelStore((++this.#stores).toString(16).padStart(32, '0'))
  }

  node(id: number): Node {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`there is no member ${id}`)
    return node
  }

  /** Monotonic clocks have nothing to do with each other; wall clocks may be set wrong. */
  now(id: number): Now {
    return { monotonic: this.#time + ((id * 1_234_567) % 99_991), wall: Math.max(0, 1_000_000 + this.#time + (this.skewMs.get(id) ?? 0)) }
  }

  start(id: number): void {
    const node = this.node(id)
    if (node.core !== null) return
    const birth = ++this.#births
    const config: CoreConfig = {
      ...CORE_DEFAULTS,
      ...this.#settings,
      self: node.id,
      initial: { version: ZERO, members: this.#members },
      settings: '0'.repeat(16),
      freshEnsembleId: birth.toString(16).padStart(32, 'e'),
      seed: birth * 7919,
    }
    node.core = new Core(config, node.store.stored(), this.now(node.id))
    node.fault = null
    for (const other of this.nodes.keys()) if (other !== id) this.connect(id, other)
  }

  crash(id: number): void {
    const node = this.node(id)
    node.core = null
    node.staging = null
    node.store.crash()
    node.inbox.length = 0
    for (const other of this.nodes.keys()) if (other !== id) this.disconnect(id, other)
  }

  wipe(id: number): void {
    this.node(id).store = this.#freshStore()
  }

  #key(a: number, b: number): string {
    return a < b ? `${a}-${b}` : `${b}-${a}`
  }

  cut(a: number, b: number): void {
    this.#cut.add(this.#key(a, b))
    this.disconnect(a, b)
  }

  mend(a: number, b: number): void {
    this.#cut.delete(this.#key(a, b))
    this.connect(a, b)
  }

  isCut(a: number, b: number): boolean {
    return this.#cut.has(this.#key(a, b))
  }

  connect(a: number, b: number): void {
    const key = this.#key(a, b)
    const [low, high] = a < b ? [this.node(a), this.node(b)] : [this.node(b), this.node(a)]
    if (this.#links.has(key) || this.#cut.has(key) || low.core === null || high.core === null) return
    const pipe = (): Pipe => ({ queues: { control: [], entries: [], bulk: [] } })
    const link: Link = { numbers: [++this.#connections, ++this.#connections], pipes: [pipe(), pipe()] }
    this.#links.set(key, link)
    this.step(low.id, { kind: 'connection', peer: high.id, connection: link.numbers[0], up: true, storeId: high.store.storeId })
    this.step(high.id, { kind: 'connection', peer: low.id, connection: link.numbers[1], up: true, storeId: low.store.storeId })
  }

  disconnect(a: number, b: number): void {
    const key = this.#key(a, b)
    const link = this.#links.get(key)
    if (link === undefined) return
    this.#links.delete(key)
    const [low, high] = a < b ? [this.node(a), this.node(b)] : [this.node(b), this.node(a)]
    if (low.core !== null) this.step(low.id, { kind: 'connection', peer: high.id, connection: link.numbers[0], up: false, storeId: null })
    if (high.core !== null) this.step(high.id, { kind: 'connection', peer: low.id, connection: link.numbers[1], up: false, storeId: null })
  }

  /** Connections that were lost and are not cut come back. */
  reconnect(): void {
    for (const a of this.nodes.keys()) for (const b of this.nodes.keys()) if (a < b) this.connect(a, b)
  }

  tick(id: number): void {
    this.step(id, { kind: 'tick' })
  }

  pass(ms: number): void {
    this.#time += ms
  }

  propose(id: number, count: number, size = 8): boolean {
    const node = this.node(id)
    const primary = node.core?.primary(this.now(id)) ?? null
    if (primary === null) return false
    this.#builder.begin(primary.previous, primary.previousChecksum, primary.epoch, primary.time)
    for (let i = 0; i < Math.min(count, primary.entriesRoom); i++)
      this.#builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(size))
    const run = this.#builder.finish()
    if (run === null) return false
    this.step(id, { kind: 'propose', run })
    return true
  }

  read(id: number, number: number): void {
    this.#reads.set(`${id}/${number}`, this.#committedTo)
    this.step(id, { kind: 'read', number })
  }

  /** What the machines of `id` come down to where they stand. */
  digest(id: number, digest: string): void {
    const { core } = this.node(id)
    if (core !== null) this.step(id, { kind: 'digest', zxid: core.state.applied, digest: digest.padStart(16, '0') })
  }

  snapshot(id: number): boolean {
    const node = this.node(id)
    const { core } = node
    if (core === null) return false
    const zxid = core.state.applied
    if (zxid > core.state.durable || zxid === ZERO || core.keepFrom() < zxid || node.store.waiting > 0) return false
    const checksum = this.#committed.get(zxid)
    if (checksum === undefined) return false
    const meta: SnapshotMeta = { zxid, checksum, endPoints: core.endPointsUpTo(zxid, checksum), time: core.state.history.time }
    node.store.compact(meta)
    this.step(id, { kind: 'compacted', snapshot: meta, start: node.store.start })
    return true
  }

  /** The oldest write of `id` becomes durable; its acknowledgements go out. False: there was none. */
  flush(id: number): boolean {
    const node = this.node(id)
    if (node.core === null || node.diskHeld) return false
    const write = node.store.flush()
    if (write === null) return false
    const { core } = node
    this.step(id, { kind: 'persisted', ticket: write.ticket })
    if (write.install !== null && node.core === core) this.step(id, { kind: 'applied', upTo: node.store.snapshot!.zxid })
    for (const outgoing of write.afterwards) {
      if (outgoing.to === node.id) node.inbox.push(outgoing.message)
      else this.#send(node, outgoing.to, outgoing.connection, outgoing.message)
    }
    return true
  }

  /** What a write has permitted us to tell ourselves. */
  hear(id: number): boolean {
    const node = this.node(id)
    const message = node.core === null ? undefined : node.inbox.shift()
    if (message === undefined) return false
    this.step(id, { kind: 'message', from: node.id, connection: 0, message })
    return true
  }

  /** The next message of a lane from `a` to `b`. False: there is none. */
  deliver(a: number, b: number, lane: Lane): boolean {
    const link = this.#links.get(this.#key(a, b))
    if (link === undefined) return false
    const [pipe, number] = a < b ? [link.pipes[0], link.numbers[1]] : [link.pipes[1], link.numbers[0]]
    const message = pipe.queues[lane].shift()
    if (message === undefined) return false
    this.#count(message.kind)
    this.trace(`${a} -> ${b} ${describeMessage(message)}`)
    const receiver = this.node(b)
    this.step(b, { kind: 'message', from: peerId(a), connection: number, message })
    if (message.kind === 'CHUNK') this.#stage(receiver, peerId(a), number, message)
    return true
  }

  pending(a: number, b: number, lane: Lane): number {
    const link = this.#links.get(this.#key(a, b))
    return link === undefined ? 0 : (a < b ? link.pipes[0] : link.pipes[1]).queues[lane].length
  }

  #stage(receiver: Node, from: PeerId, connection: number, { transfer, last, bytes }: Chunk): void {
    const { staging } = receiver
    if (staging === null || staging.receive.from !== from || staging.receive.connection !== connection || staging.receive.transfer !== transfer) return
    staging.chunks.push(bytes)
    if (!last) return
    const { meta, rebuild } = staging.receive
    if (String(staging.chunks) !== String(chunksOf(meta))) throw new Error(`member ${receiver.id} has staged parts of different snapshots`)
    receiver.staging = null
    if (rebuild) this.#rebuilt(receiver, transfer, meta)
    else this.step(receiver.id, { kind: 'staged', transfer, generation: receiver.store.stage(meta), ok: true })
  }

  /** The whole snapshot is here, in the place of a void state if our own log is durable behind it. */
  #rebuilt(receiver: Node, transfer: number, meta: SnapshotMeta): void {
    if (receiver.core!.state.durable < meta.zxid)
      throw new Error(`member ${receiver.id} is to be rebuilt at ${formatZxid(meta.zxid)}, and has not flushed that`)
    receiver.store.compact(meta)
    this.step(receiver.id, { kind: 'rebuilt', transfer, snapshot: meta })
    this.step(receiver.id, { kind: 'compacted', snapshot: meta, start: receiver.store.start })
  }

  #send(node: Node, to: PeerId, connection: number, message: Message): void {
    const link = this.#links.get(this.#key(node.id, to))
    if (link === undefined || (node.id < to ? link.numbers[0] : link.numbers[1]) !== connection) return
    const pipe = node.id < to ? link.pipes[0] : link.pipes[1]
    pipe.queues[laneOf(message.kind)].push(message)
  }

  /** A transfer that the leader began is streamed whole, at a moment of the script's choosing. */
  stream(): boolean {
    const next = this.transfers.shift()
    if (next === undefined) return false
    const { transfer } = next
    const node = this.node(next.from)
    if (node.core === null) return true
    if (transfer.mode === 'snap') {
      const { snapshot } = node.store
      if (snapshot === null) {
        this.step(node.id, { kind: 'transferred', transfer: transfer.transfer, upTo: ZERO, ok: false })
        return true
      }
      this.#streamSnapshot(node, transfer, snapshot)
      return true
    }
    let bytes = 0
    let upTo = transfer.after
    for (const run of node.store.read(transfer.after, transfer.upTo)) {
      if (bytes >= transfer.bytesMax) break
      this.#send(node, transfer.to, transfer.connection, { kind: 'PROPOSE', epoch: transfer.epoch, committed: ZERO, run })
      bytes += run.bytes.length
      upTo = run.last
    }
    this.step(node.id, { kind: 'transferred', transfer: transfer.transfer, upTo, ok: true })
    return true
  }

  #streamSnapshot(node: Node, { to, connection, epoch, transfer, resume }: Transfer, meta: SnapshotMeta): void {
    const bytes = chunksOf(meta)
    const digest = crc32OfAll(bytes.slice(0, resume?.chunks ?? 0))
    const goesOn = resume !== null && resume.zxid === meta.zxid && resume.checksum === meta.checksum && resume.digest === digest
    const chunks = goesOn ? resume.chunks : 0
    this.#count(goesOn ? 'snapshot goes on' : resume === null ? 'snapshot begins' : 'snapshot begins anew')
    this.#send(node, to, connection, { kind: 'SNAP', epoch, transfer, meta, chunks, digest: goesOn ? digest : 0 })
    for (let index = chunks; index < bytes.length; index++)
      this.#send(node, to, connection, { kind: 'CHUNK', transfer, index, last: index === bytes.length - 1, bytes: bytes[index]! })
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  step(id: number, input: Input): void {
    const node = this.node(id)
    const { core } = node
    if (core === null) return
    const earlier = before(core)
    const effects = core.step(input, this.now(node.id))
    const breach = checkState(core) ?? checkStep(core, earlier, effects)
    if (breach !== null) throw new Error(`member ${id}: ${breach}`)
    for (const line of describeEffects(effects)) this.trace(`  ${id}: ${line}`)
    for (const close of effects.closes) this.#count(`close: ${close.reason.replace(/[0-9.]+/g, 'n')}`)
    this.#carryOut(node, core, effects)
  }

  #carryOut(node: Node, core: Core, effects: Effects): void {
    for (const generation of effects.discards) node.store.discard(generation)
    for (const transfer of effects.abandons) if (node.staging?.receive.transfer === transfer) node.staging = null
    for (const receive of effects.receives) {
      if (receive.chunks === 0) node.staging = { receive, chunks: [] }
      else if (node.staging?.chunks.length === receive.chunks) node.staging.receive = receive
      else throw new Error(`member ${node.id} goes on with a snapshot of which it has another part`)
    }
    for (const staged of effects.stagedAppends) node.store.stageAppend(staged.generation, staged.runs)
    for (const write of effects.writes) node.store.write(write)
    for (const outgoing of effects.sends) this.#send(node, outgoing.to, outgoing.connection, outgoing.message)
    for (const transfer of effects.transfers) this.transfers.push({ from: node.id, transfer })
    for (const grant of effects.readable) {
      const asked = this.#reads.get(`${node.id}/${grant.number}`)
      if (asked === undefined) throw new Error(`read ${grant.number} answered twice or never asked`)
      this.#reads.delete(`${node.id}/${grant.number}`)
      if (grant.zxid !== null && grant.zxid < asked)
        throw new Error(`member ${node.id} reads at ${formatZxid(grant.zxid)}, but ${formatZxid(asked)} was committed before it asked`)
      this.#count(grant.zxid === null ? 'read refused' : 'read granted')
      node.reads.push(grant.zxid === null ? `read ${grant.number} not granted` : `read ${grant.number} at ${formatZxid(grant.zxid)}`)
    }
    const { commitTo, role, fault } = effects
    const closes = [...effects.closes]
    if (role?.role === 'leading' && role.active) {
      this.#established(node.id, role.epoch, this.#reigns.get(node.id) === core)
      this.#reigns.set(node.id, core)
    } else if (role !== null) {
      this.#reigns.delete(node.id)
    }
    this.#countStreams(core)
    if (fault !== null) {
      node.fault = `${fault.code}: ${fault.message}`
      this.crash(node.id)
      return
    }
    for (const close of closes) {
      const link = this.#links.get(this.#key(node.id, close.peer))
      if (link !== undefined && (node.id < close.peer ? link.numbers[0] : link.numbers[1]) === close.connection) this.disconnect(node.id, close.peer)
    }
    if (commitTo !== null) {
      this.#agree(node, core, commitTo)
      if (node.core === core) this.step(node.id, { kind: 'applied', upTo: commitTo })
    }
  }

  #established(id: number, epoch: number, wasEstablished: boolean): void {
    const other = this.#leaders.get(epoch)
    if (other !== undefined && other !== id) throw new Error(`epoch ${epoch} has two established leaders, ${other} and ${id}`)
    this.#leaders.set(epoch, id)
    this.#count(wasEstablished ? 'epoch change in place' : 'established')
  }

  #countStreams(core: Core): void {
    const { role } = core.state
    if (role.name !== 'leading') return
    for (const learner of role.learners.values()) {
      if (learner.streaming) this.#streaming.add(learner)
      else if (this.#streaming.delete(learner)) this.#count('rejoin mid-stream')
    }
  }

  /** Every replica commits the same entries in the same order; and a quorum of stores has them durably. */
  #agree(node: Node, core: Core, upTo: Zxid): void {
    for (const run of node.store.read(ZERO, upTo)) {
      if (run.previous >= upTo) continue
      for (let at = 0; at < run.bytes.length; at += entryLength(run.bytes, at)) {
        const zxid = entryZxid(run.bytes, at)
        if (zxid > upTo) break
        const checksum = checksumBehind(run.bytes, at)
        const known = this.#committed.get(zxid)
        if (known !== undefined && known !== checksum) throw new Error(`member ${node.id} commits another entry as ${formatZxid(zxid)} than a member before it`)
        if (known === undefined) {
          if (zxid < this.#committedTo) throw new Error(`member ${node.id} commits ${formatZxid(zxid)} behind ${formatZxid(this.#committedTo)}`)
          this.#committedTo = zxid
          this.#committed.set(zxid, checksum)
          this.#count('committed')
          const holders = [...this.nodes.values()].filter(
            (other) =>
              core.view().configuration.members.some((member) => member.id === other.id && member.storeId === other.store.storeId) &&
              holdsDurably(other.store, zxid, checksum),
          )
          const voters = this.#members.filter((member) => member.role === 'voter').length
          if (!isQuorum({ version: ZERO, members: this.#members }, (id) => holders.some((holder) => holder.id === id)))
            throw new Error(`${formatZxid(zxid)} is committed with ${holders.length} durable copies of ${voters}`)
        }
      }
    }
  }
}

/** A snapshot's chunks: equal for equal snapshots, and only for those. */
function chunksOf({ zxid, checksum }: SnapshotMeta): Uint8Array[] {
  return Array.from({ length: 3 }, (_, index) => new TextEncoder().encode(`${zxid} ${checksum} ${index}`))
}

function crc32OfAll(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((digest, bytes) => crc32(bytes, digest), 0)
}

function holdsDurably(store: ModelStore, zxid: Zxid, checksum: number): boolean {
  const { snapshot } = store.stored()
  if (snapshot !== null && snapshot.zxid >= zxid) return true
  for (const run of store.durableRuns) {
    if (run.first > zxid || run.last < zxid) continue
    for (let at = 0; at < run.bytes.length; at += entryLength(run.bytes, at))
      if (entryZxid(run.bytes, at) === zxid) return checksumBehind(run.bytes, at) === checksum
  }
  return false
}
