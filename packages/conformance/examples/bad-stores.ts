import type { AntiphonError, Run, SnapshotMeta, Write, Zxid } from '@antiphon/ports'
import { ArrayStore, type Content, type Done } from './array-store.ts'

/** Answers at once, before anything is durable. */
export class Early extends ArrayStore {
  protected override enqueue(done: Done, content: Content | null): void {
    setTimeout(() => done(null), 0)
    setTimeout(() => super.enqueue(() => {}, content), 20)
  }
}

export class FromInside extends ArrayStore {
  protected override enqueue(done: Done, content: Content | null): void {
    done(this.persist(content))
  }
}

export class DropsTruncations extends ArrayStore {
  protected override next(write: Write): Content {
    return super.next({ ...write, truncateTo: null })
  }
}

/** Answers every second one after the one behind it. */
export class Reorders extends ArrayStore {
  #held: (() => void) | null = null

  protected override answer(done: Done, error: AntiphonError | null): void {
    const held = this.#held
    this.#held = held === null ? () => done(error) : null
    if (held === null) return
    done(error)
    held()
  }
}

export class SwallowsErrors extends ArrayStore {
  protected override answer(done: Done): void {
    done(null)
  }
}

export class ForgetsEpochs extends ArrayStore {
  protected override next(write: Write): Content {
    const content = super.next(write)
    return write.truncateTo === null ? content : { ...content, epochs: { accepted: 0, acceptedFrom: null, current: 0 } }
  }
}

/** Looks at the write only once the core uses its arrays again. */
export class ReadsLate extends ArrayStore {
  override write(write: Write, done: Done): void {
    setTimeout(() => super.write(write, done), 0)
  }
}

/** Flushes epochs apart from entries, epochs first: between the two an epoch claims a history that is not there. */
export class Torn extends ArrayStore {
  protected override persist(content: Content | null): AntiphonError | null {
    const error = super.persist(content === null ? null : { ...this.shelf.content, epochs: content.epochs })
    setTimeout(() => super.persist(content), 5)
    return error
  }
}

/** A leader's snapshot is taken for one of our own as soon as it is here. */
export class ShowsStaged extends ArrayStore {
  override async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const copies: Uint8Array[] = []
    for await (const chunk of chunks) copies.push(chunk.slice())
    this.content = { ...this.content, snapshots: [...this.content.snapshots, { meta, chunks: copies }] }
    return super.stage(meta, toAsync(copies))
  }
}

export class CompactsTooMuch extends ArrayStore {
  override compact(retain: number): Promise<Zxid> {
    return super.compact(retain, Number.MAX_SAFE_INTEGER as Zxid)
  }
}

export class OvertakesInstalls extends ArrayStore {
  override async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    await super.saveSnapshot(meta, chunks)
    return true
  }
}

export class IgnoresBytesMax extends ArrayStore {
  override read(after: Zxid, upTo: Zxid): Promise<readonly Run[]> {
    return super.read(after, upTo, 1 << 30)
  }
}

async function* toAsync(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
