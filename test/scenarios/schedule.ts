import { isQuorum, type Lane, type Member, peerId, ZERO } from '@antiphon/consensus-core'
import { Cluster } from './cluster.ts'

const LANES: readonly Lane[] = ['control', 'entries', 'bulk']

export interface Shape {
  readonly voters: readonly number[]
  readonly observers: readonly number[]
  readonly weights?: Readonly<Record<number, number>>
  readonly groups?: Readonly<Record<number, number>>
}

const SHAPES: readonly Shape[] = [
  { voters: [1, 2, 3], observers: [] },
  { voters: [1, 2, 3], observers: [9] },
  { voters: [1, 2, 3, 4, 5], observers: [] },
  { voters: [1, 2, 3, 4, 5], observers: [8, 9] },
  { voters: [1], observers: [9] },
  { voters: [1, 2], observers: [] },
  { voters: [1, 2, 3, 4], observers: [] },
  { voters: [1, 2, 3], observers: [], weights: { 1: 3 } },
  { voters: [1, 2, 3, 4], observers: [], weights: { 4: 0 } },
  { voters: [1, 2, 3, 4, 5], observers: [9], weights: { 1: 0, 5: 0 } },
  { voters: [1, 2, 3, 4, 5, 6, 7, 8, 9], observers: [], groups: { 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 3, 9: 3 } },
  { voters: [1, 2, 3, 4, 5, 6], observers: [], weights: { 6: 0, 5: 2 }, groups: { 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3 } },
]

/** xorshift: a schedule is its seed. */
function generator(seed: number): (below: number) => number {
  let x = (seed * 2_654_435_761) >>> 0 || 1
  return (below) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    return x % below
  }
}

/**
 * One random schedule: crashes, wiped disks, cuts, held disks, suspended members, wrong clocks, flushes and deliveries in any order; then the faults end, some members are
 * gone for good, and the quorum that is left must come to rest under one leader.
 */
export class Schedule {
  readonly cluster: Cluster
  readonly #seed: number
  readonly #draw: (below: number) => number
  readonly #shape: Shape
  readonly #ids: readonly number[]
  readonly #wiped = new Set<number>()
  readonly #asleep = new Set<number>()
  #reads = 0

  constructor(seed: number, log: string[] | null) {
    this.#seed = seed
    const draw = generator(seed)
    this.#draw = draw
    this.#shape = SHAPES[draw(2) === 0 ? draw(3) : draw(SHAPES.length)]!
    this.#ids = [...this.#shape.voters, ...this.#shape.observers]
    const settings = { counterMax: draw(3) === 0 ? 4 : 0xffff_ffff, windowBytes: draw(3) === 0 ? 300 : 1 << 20, recentBytes: draw(2) === 0 ? 700 : 1 << 20 }
    this.cluster = new Cluster({ ...this.#shape, settings })
    if (log !== null) this.cluster.trace = (line) => log.push(line)
  }

  run(): void {
    const draw = this.#draw
    const { cluster } = this
    for (const id of this.#ids) cluster.start(id)
    if (draw(2) === 0) this.#passTicks(30, this.#ids)
    const rates = { crash: draw(5), cut: draw(4), snapshot: draw(8), hold: draw(3), suspend: draw(3), wipe: draw(3) }
    for (let i = 400 * this.#ids.length; i > 0; i--) this.#event(draw(1000), rates)
    this.#heal()
  }

  #some(): number {
    return this.#ids[this.#draw(this.#ids.length)]!
  }

  #pair(act: (a: number, b: number) => void): void {
    const a = this.#some()
    const b = this.#some()
    if (a !== b) act(a, b)
  }

  #event(kind: number, rates: Readonly<Record<'crash' | 'cut' | 'snapshot' | 'hold' | 'suspend' | 'wipe', number>>): void {
    const draw = this.#draw
    const { cluster } = this
    const ids = this.#ids
    if (kind < rates.crash * 4) cluster.crash(this.#some())
    else if (kind < 30) cluster.start(this.#some())
    else if (kind < 30 + rates.cut * 5) this.#pair((a, b) => cluster.cut(a, b))
    else if (kind < 70) this.#pair((a, b) => cluster.mend(a, b))
    else if (kind < 70 + rates.snapshot * 3) cluster.snapshot(this.#some())
    else if (kind < 100) for (const id of ids) cluster.read(id, ++this.#reads)
    else if (kind < 101) this.#leaveDirty()
    else if (kind < 106) this.#holdDisk(rates.hold)
    else if (kind < 111) this.#suspend(rates.suspend)
    else if (kind < 112 && rates.wipe === 0) this.#wipe(this.#some())
    else if (kind < 150) for (const id of ids) this.#asleep.has(id) || cluster.propose(id, 1 + draw(3), draw(60))
    else if (kind < 250) {
      cluster.pass(draw(3) === 0 ? 100 : 20)
      if (draw(3) === 0) cluster.reconnect()
      for (const id of ids) if (draw(4) > 0 && !this.#asleep.has(id)) cluster.tick(id)
    } else if (kind < 450) {
      const id = this.#some()
      if (!cluster.flush(id) && !this.#asleep.has(id)) cluster.hear(id)
    } else if (kind < 480) cluster.stream()
    else
      this.#pair((a, b) => {
        if (!this.#asleep.has(b)) for (let n = draw(10); n >= 0; n--) cluster.deliver(a, b, LANES[draw(3)]!)
      })
  }

  #holdDisk(rate: number): void {
    const id = this.#some()
    if (this.#draw(3) < rate) this.cluster.node(id).diskHeld = true
    else for (const other of this.#ids) this.cluster.node(other).diskHeld = false
  }

  #suspend(rate: number): void {
    const id = this.#some()
    if (this.#draw(3) < rate) this.#asleep.add(id)
    else this.#asleep.clear()
    this.cluster.skewMs.set(id, (this.#draw(3) - 1) * 1000 * this.#draw(1000))
  }

  /** Only while those that count can still make a quorum: otherwise the ensemble is stuck by design (rule 9). */
  #wipe(id: number): void {
    if (!this.#isFounded()) return
    if (!this.#shape.observers.includes(id) && !this.#isQuorum((voter) => voter !== id && !this.#wiped.has(voter))) return
    this.cluster.crash(id)
    this.cluster.wipe(id)
    this.#wiped.add(id)
  }

  /** A primary proposes, keeps it for itself and is cut off: the next reign will have to truncate it. */
  #leaveDirty(): void {
    for (const id of this.#ids) {
      if (!this.cluster.propose(id, 2)) continue
      for (const other of this.#ids) if (other !== id) this.cluster.cut(id, other)
      while (this.cluster.flush(id)) this.cluster.hear(id)
    }
  }

  #isFounded(): boolean {
    return this.#ids.some((id) => this.cluster.node(id).store.stored().founding !== null)
  }

  #isQuorum(has: (id: number) => boolean): boolean {
    const { voters, weights, groups } = this.#shape
    const members: Member[] = voters.map((id) => ({ id: peerId(id), role: 'voter', weight: weights?.[id] ?? 1, group: groups?.[id] ?? 0, storeId: null }))
    return isQuorum({ version: ZERO, members }, (id) => has(id))
  }

  /** Everything that can happen without time passing. */
  #rest(ids: readonly number[]): void {
    const { cluster } = this
    let rounds = 0
    for (let moved = true; moved; ) {
      moved = false
      if (++rounds > 10_000) throw new Error('events beget events without end')
      for (const id of ids) {
        while (cluster.flush(id) || cluster.hear(id)) moved = true
        for (const other of ids) if (id !== other) for (const lane of LANES) while (cluster.deliver(id, other, lane)) moved = true
      }
      while (cluster.stream()) moved = true
    }
  }

  #passTicks(ticks: number, ids: readonly number[]): void {
    for (let i = 0; i < ticks; i++) {
      this.#rest(ids)
      this.cluster.pass(100)
      this.cluster.reconnect()
      for (const id of ids) this.cluster.tick(id)
    }
  }

  #heal(): void {
    const { cluster } = this
    for (const id of this.#ids) cluster.node(id).diskHeld = false
    const left = this.#survivors()
    for (const id of this.#ids) if (!left.includes(id)) cluster.crash(id)
    for (const id of left) for (const other of left) if (id < other) cluster.mend(id, other)
    for (const id of left) cluster.start(id)
    let proposals = 0
    for (let ticks = 0; ticks < 800; ticks++) {
      this.#rest(left)
      if (this.#isSettled(left)) {
        if (proposals === 2) return this.#expectNoFault()
        if (cluster.propose(cluster.node(left[0]!).core!.view().leader!, 1)) proposals++
      }
      this.#passTicks(1, left)
    }
    throw new Error(`no rest after 800 ticks: ${JSON.stringify(left.map((id) => cluster.node(id).core?.view()))}`)
  }

  #survivors(): number[] {
    let left = [...this.#ids]
    if (!this.#isFounded()) return left
    for (const id of this.#ids) {
      const without = left.filter((other) => other !== id)
      const knows = without.some(
        (other) => this.#shape.voters.includes(other) && !this.#wiped.has(other) && this.cluster.node(other).store.stored().founding !== null,
      )
      if (this.#draw(3) === 0 && knows && this.#isQuorum((voter) => without.includes(voter) && !this.#wiped.has(voter))) left = without
    }
    return left
  }

  #isSettled(left: readonly number[]): boolean {
    const views = left.map((id) => this.cluster.node(id).core?.view())
    return views.every(
      (view) => view !== undefined && view.active && view.committed === view.last && view.committed === views[0]!.committed && view.leader === views[0]!.leader,
    )
  }

  #expectNoFault(): void {
    for (const { id, fault } of this.cluster.nodes.values()) if (fault !== null) throw new Error(`seed ${this.#seed}: member ${id} stopped: ${fault}`)
  }
}
