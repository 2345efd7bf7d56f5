import type { CommittedBatch, PrimaryContext, Zxid } from '@antiphon/ports'
import { type Tally, TallyMachine } from './tally-machine.ts'

export class ReadsClock extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    for (const [name, tally] of this.tallies) this.tallies.set(name, { ...tally, at: Date.now() })
    return results
  }
}

export class DrawsLots extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    for (const [name, tally] of this.tallies) if (Math.random() < 0.5) this.tallies.set(name, { ...tally, mark: 0 })
    return results
  }
}

/** Computes on each replica what the primary should have computed once: its own order of names decides. */
export class DependsOnBatches extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    if (batch.length > 1) this.tallies.set('batches', { total: batch.length, at: 0, mark: 0 })
    return results
  }
}

export class LiveSnapshot extends TallyMachine {
  override snapshot(): Iterable<Uint8Array> {
    return this.slices(this.tallies)
  }
}

/** Keeps views into the batch. */
export class KeepsMemory extends TallyMachine {
  readonly #views: Uint8Array[] = []

  override apply(batch: CommittedBatch): readonly Tally[] {
    for (let i = 0; i < batch.length; i++) this.#views.push(batch.change(i))
    return super.apply(batch)
  }
  override *snapshot(): Generator<Uint8Array> {
    yield* this.slices(this.tallies)
    for (const view of this.#views) yield view
  }
}

/** Merges a snapshot into what is there. */
export class RestoresOnTop extends TallyMachine {
  override async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const before = this.tallies
    await super.restore(zxid, chunks)
    for (const [name, tally] of before) if (!this.tallies.has(name)) this.tallies.set(name, tally)
  }
}

export class DigestsNothing extends TallyMachine {
  override digest(): bigint {
    return 0n
  }
}

export class OneResultTooFew extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    return super.apply(batch).slice(1)
  }
}

/** Sees what is applied and not what is proposed. */
export class LooksBehind extends TallyMachine {
  override prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    this.ahead = []
    return super.prepare(request, context)
  }
}

export class AppliesAtOnce extends TallyMachine {
  override prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    const change = super.prepare(request, context)
    const { name, tally } = this.ahead.at(-1)!
    this.tallies.set(name, tally)
    return change
  }
}

/** Leaves a trace of the request that it refuses. */
export class DirtyRefusal extends TallyMachine {
  override prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    try {
      return super.prepare(request, context)
    } catch (error) {
      this.ahead.push({ name: 'apples', tally: { total: 0, at: 0, mark: 0 } })
      throw error
    }
  }
}

export class NeverTakesBack extends TallyMachine {
  override unprepare(): void {}
}

export class NeverAbandons extends TallyMachine {
  override abandon(): void {}
  override leading(): void {}
}
