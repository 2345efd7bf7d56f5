import {
  cutBehind,
  type Epochs,
  endPointsOf,
  type Founding,
  type Run,
  type SnapshotMeta,
  type StoredState,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/consensus-core'

interface Contents {
  founding: Founding | null
  epochs: Epochs
  snapshot: SnapshotMeta | null
  start: Zxid
  runs: readonly Run[]
}

interface Generation {
  readonly meta: SnapshotMeta
  runs: Run[]
}

/** A disk as the core's scenarios need it: writes become durable one by one when the script says so, a crash keeps what is durable. */
export class ModelStore {
  readonly storeId: string
  #durable: Contents = { founding: null, epochs: { accepted: 0, acceptedFrom: null, current: 0 }, snapshot: null, start: ZERO, runs: [] }
  #readable: Contents = this.#durable
  #waiting: { write: Write; after: Contents }[] = []
  #generations = new Map<number, Generation>()
  #nextGeneration = 1

  constructor(storeId: string) {
    this.storeId = storeId
  }

  get waiting(): number {
    return this.#waiting.length
  }

  write(write: Write): void {
    const next: Contents = { ...this.#readable }
    if (write.founding !== null) next.founding = write.founding
    if (write.install !== null) {
      const generation = this.#generations.get(write.install)!
      this.#generations.delete(write.install)
      next.snapshot = generation.meta
      next.start = generation.meta.zxid
      next.runs = generation.runs
    }
    if (write.truncateTo !== null) {
      const { zxid } = write.truncateTo
      next.runs = next.runs.map((run) => cutBehind(run, zxid)).filter((run) => run !== null)
    }
    if (write.append.length > 0) next.runs = [...next.runs, ...write.append]
    if (write.epochs !== null) next.epochs = write.epochs
    this.#readable = next
    this.#waiting.push({ write, after: next })
  }

  /** The oldest write becomes durable. */
  flush(): Write | null {
    const done = this.#waiting.shift()
    if (done === undefined) return null
    this.#durable = done.after
    return done.write
  }

  crash(): void {
    this.#waiting = []
    this.#generations.clear()
    this.#readable = this.#durable
  }

  stage(meta: SnapshotMeta): number {
    const generation = this.#nextGeneration++
    this.#generations.set(generation, { meta, runs: [] })
    return generation
  }

  stageAppend(generation: number, runs: readonly Run[]): void {
    this.#generations.get(generation)!.runs.push(...runs)
  }

  discard(generation: number): void {
    this.#generations.delete(generation)
  }

  /** Our own snapshot; the log below it goes. */
  compact(meta: SnapshotMeta): void {
    const trimmed = (contents: Contents): Contents => {
      const runs = contents.runs.filter((run) => run.last > meta.zxid)
      return { ...contents, snapshot: meta, start: runs[0]?.previous ?? meta.zxid, runs }
    }
    this.#readable = trimmed(this.#readable)
    this.#durable = trimmed(this.#durable)
    for (const waiting of this.#waiting) waiting.after = trimmed(waiting.after)
  }

  get snapshot(): SnapshotMeta | null {
    return this.#readable.snapshot
  }

  get start(): Zxid {
    return this.#readable.start
  }

  read(after: Zxid, upTo: Zxid): Run[] {
    return this.#readable.runs.filter((run) => run.last > after && run.previous < upTo)
  }

  get durableRuns(): readonly Run[] {
    return this.#durable.runs
  }

  stored(): StoredState {
    const { founding, epochs, snapshot, start, runs } = this.#durable
    const tail = runs[runs.length - 1]
    const endPoints = [...(snapshot?.endPoints ?? [])].filter((end) => end.last <= start || runs.length === 0)
    return {
      storeId: this.storeId,
      founding,
      epochs,
      snapshot,
      log: {
        start,
        last: tail?.last ?? snapshot?.zxid ?? start,
        checksum: tail?.checksum ?? snapshot?.checksum ?? 0,
        endPoints: endPointsBehind(endPoints, runs),
        time: tail?.time ?? snapshot?.time ?? 0,
      },
    }
  }
}

function endPointsBehind(base: { epoch: number; last: Zxid; checksum: number }[], runs: readonly Run[]): { epoch: number; last: Zxid; checksum: number }[] {
  const ends = [...base]
  for (const run of runs) {
    for (const end of endPointsOf(run)) {
      if (ends.length > 0 && ends[ends.length - 1]!.epoch === end.epoch) ends.pop()
      ends.push(end)
    }
  }
  return ends
}
