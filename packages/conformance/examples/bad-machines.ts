import type { CommittedBatch, PrimaryContext, Zxid } from '@antiphon/ports'
import { type Tally, TallyMachine } from './tally-machine.ts'

export class ReadsClock extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    for (const [name, tally] of this.tallies) this.tallies.set(name, { ...tally, at: Date.now() })
    return results
  }
}

/** Looks, and does nothing with what it sees: yet. */
export class GlancesAtTheClock extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    return Date.now() > 0 ? super.apply(batch) : []
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

let made = 0

/** Each copy of the machine leaves its own mark. */
export class KnowsItself extends TallyMachine {
  readonly #mark = ++made

  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    if (batch.length > 20) this.tallies.set('self', { total: this.#mark, at: 0, mark: 0 })
    return results
  }
}

/** So does what it answers. */
export class SignsItsAnswers extends TallyMachine {
  readonly #mark = ++made

  override apply(batch: CommittedBatch): readonly Tally[] {
    return super.apply(batch).map((result) => ({ ...result, mark: this.#mark }))
  }
}

export class LosesTheTime extends TallyMachine {
  override encodeResult(result: Tally): Uint8Array {
    return super.encodeResult({ ...result, at: result.at + 1 })
  }
}

/** Even nothing is an event. */
export class CountsEmptyBatches extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    if (batch.length === 0) this.tallies.set('idle', { total: 1, at: 0, mark: 0 })
    return super.apply(batch)
  }
}

/** Leaves out what nobody waits for. */
export class AnswersItsOwn extends TallyMachine {
  override apply(batch: CommittedBatch): readonly Tally[] {
    return super.apply(batch).filter((_, index) => batch.needsResult(index))
  }
}

/** Applies on the primary what it has computed there, and not what the change says. */
export class TrustsItself extends TallyMachine {
  #leads = false

  override leading(): void {
    super.leading()
    this.#leads = true
  }
  override apply(batch: CommittedBatch): readonly Tally[] {
    const results = super.apply(batch)
    if (this.#leads && batch.length === 4) this.tallies.set('primary', { total: 1, at: 0, mark: 0 })
    return results
  }
}

/** The first slices are fixed at the call, the rest when they are asked for. */
export class FixesTheBeginning extends TallyMachine {
  override snapshot(): Iterable<Uint8Array> {
    return this.#slices(new Map(this.tallies))
  }
  *#slices(fixed: ReadonlyMap<string, Tally>): Generator<Uint8Array> {
    let count = 0
    for (const name of [...fixed.keys()].sort()) yield* this.slices(new Map([[name, (++count > 10 ? this.tallies.get(name) : fixed.get(name))!]]))
  }
}

/** Looks at the state when the first slice is asked for. */
export class FixesAtTheFirstSlice extends TallyMachine {
  override *snapshot(): Generator<Uint8Array> {
    yield* this.slices(new Map(this.tallies))
  }
}

/** Notes in the state that a snapshot was not read to its end. */
export class NotesAbandonedSnapshots extends TallyMachine {
  override snapshot(): Iterable<Uint8Array> {
    return this.#noted(new Map(this.tallies))
  }
  *#noted(fixed: ReadonlyMap<string, Tally>): Generator<Uint8Array> {
    let whole = false
    try {
      yield* this.slices(fixed)
      whole = true
    } finally {
      if (!whole) this.tallies.set('abandoned', { total: 1, at: 0, mark: 0 })
    }
  }
}

/** The next snapshot takes the place of the one that is under way. */
export class OneSnapshot extends TallyMachine {
  #fixed: ReadonlyMap<string, Tally> = new Map()

  override snapshot(): Iterable<Uint8Array> {
    this.#fixed = new Map(this.tallies)
    return this.#latest()
  }
  *#latest(): Generator<Uint8Array> {
    yield* this.slices(this.#fixed)
  }
}

/** What has come before a source broke off will do. */
export class RestoresInPart extends TallyMachine {
  override restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    async function* unbroken(): AsyncGenerator<Uint8Array> {
      try {
        yield* chunks
      } catch {
        // So be it.
      }
    }
    return super.restore(zxid, unbroken())
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
