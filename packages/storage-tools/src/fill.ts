import type { AntiphonError, Epochs, Founding, LogStore, Run, SnapshotMeta, Write } from '@antiphon/ports'

/** What goes into an empty store. */
export interface Content {
  readonly founding: Founding | null
  readonly epochs: Epochs
  readonly snapshot: { readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } | null
  /** Behind the snapshot. */
  readonly runs: AsyncIterable<Run>
}

/** History first; what makes it a member's, founding and epochs, comes in the last write: a store that was filled in part takes part in nothing. Durable when it resolves. */
export async function fill(store: LogStore, { founding, epochs, snapshot, runs }: Content): Promise<void> {
  let ticket = 0
  const write = (parts: Partial<Write>): Promise<void> => {
    const whole = { ticket: ++ticket, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...parts }
    return settled((done) => store.write(whole, done))
  }
  const install = snapshot === null ? null : await store.stage(snapshot.meta, snapshot.chunks)
  for await (const run of runs) {
    await (install === null ? write({ append: [run] }) : settled((done) => store.stageAppend(install, [run], done)))
  }
  await write({ founding, install, epochs })
}

function settled(start: (done: (error: AntiphonError | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))))
}
