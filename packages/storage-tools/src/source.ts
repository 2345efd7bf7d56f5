import { formatZxid, type LogStore, type Run, type Snapshot, type StoredState, ZERO, type Zxid } from '@antiphon/ports'
import { damaged } from './errors.ts'

/** A history that stands still: an open store that nobody else writes to, or a view of one. */
export interface Source extends Pick<LogStore, 'read' | 'openSnapshot'> {
  /** As its `open()` told it. */
  readonly state: StoredState
}

const READ_BYTES = 1024 * 1024

/** What the newest snapshot does not hold: every entry behind it, up to `upTo`. @throws AntiphonError CORRUPT when they end too early, and what the source throws */
export async function* runsBehind(source: Pick<Source, 'read'>, from: Zxid, upTo: Zxid): AsyncGenerator<Run, void, undefined> {
  for (let after = from; after < upTo; ) {
    const runs = await source.read(after, upTo, READ_BYTES)
    if (runs.length === 0) throw damaged(`the log ends at ${formatZxid(after)}, before ${formatZxid(upTo)}`)
    for (const run of runs) {
      if (run.previous !== after) throw damaged(`the log goes on behind ${formatZxid(run.previous)}, not behind ${formatZxid(after)}`)
      yield run
      after = run.last
    }
  }
}

/** The newest snapshot is pinned while `use` runs. */
export async function withSnapshot<T>(source: Pick<Source, 'openSnapshot'>, use: (snapshot: Snapshot | null) => Promise<T>): Promise<T> {
  const snapshot = await source.openSnapshot()
  try {
    return await use(snapshot)
  } finally {
    await snapshot?.close()
  }
}

export function isEmpty({ founding, epochs, snapshot, log }: StoredState): boolean {
  return founding === null && epochs.accepted === 0 && snapshot === null && log.last === ZERO
}
