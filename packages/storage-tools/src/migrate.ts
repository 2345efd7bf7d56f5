import { invalidArgument, type LogStore, type Random, randomId, type StoredState, systemRandom, ZERO } from '@antiphon/ports'
import { expectEqual, expectSameHistory } from './compare.ts'
import { fill } from './fill.ts'
import { isEmpty, runsBehind, withSnapshot } from './source.ts'

export interface MigrateOptions {
  /** The host's own unless told. */
  readonly random?: Random
}

export interface Migrated {
  /** As the new store told it when it was opened again. */
  readonly state: StoredState
  /** Behind the snapshot. */
  readonly entries: number
  /** Of the snapshot's chunks. */
  readonly snapshotBytes: number
}

/**
 * Puts what `from` holds into `to`, which is new: identity, founding, epochs, the newest snapshot and every entry behind it; then opens `to` again and compares all of it with `from`.
 * Both are closed before and afterwards; nothing in `from` is changed.
 *
 * The new store is the same member's, under the same store id: from now on it alone may be started. Two stores under one id would vote twice (rule 9).
 * @throws AntiphonError INVALID_ARGUMENT, CORRUPT, and what the stores throw; `to` is then worth nothing, and `from` still counts
 */
export async function migrate(from: LogStore, to: LogStore, { random = systemRandom() }: MigrateOptions = {}): Promise<Migrated> {
  try {
    const fresh = randomId(random)
    const state = await from.open(fresh)
    if (state.storeId === fresh || isEmpty(state))
      throw invalidArgument('there is nothing to migrate: the old store is new, or empty', 'Name the store that is to be given up.')
    const { storeId, founding, epochs, log } = state
    // An earlier attempt, or the store itself, has the id that is offered: a new one has nothing else either.
    const taken = await to.open(storeId)
    if (taken.storeId !== storeId || !isEmpty(taken))
      throw invalidArgument(`the new store is not new: it is store ${taken.storeId}`, 'Migrate into a new, empty store.')
    const snapshotBytes = await withSnapshot(from, async (snapshot) => {
      const start = snapshot?.meta.zxid ?? ZERO
      const content = snapshot === null ? null : { meta: snapshot.meta, chunks: snapshot.chunks() }
      await fill(to, { founding, epochs, snapshot: content, runs: runsBehind(from, start, log.last) })
      return snapshot?.bytes ?? 0
    })
    await to.close()
    const copy = await to.open(storeId)
    expectEqual('the state of the new store', { ...copy, log: { ...copy.log, start: 0 } }, { ...state, log: { ...log, start: 0 } })
    const source = { state, read: from.read.bind(from), openSnapshot: from.openSnapshot.bind(from) }
    const entries = await expectSameHistory(source, { state: copy, read: to.read.bind(to), openSnapshot: to.openSnapshot.bind(to) })
    return { state: copy, entries, snapshotBytes }
  } finally {
    await from.close()
    await to.close()
  }
}
