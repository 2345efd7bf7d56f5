import { formatZxid, invalidArgument } from '@antiphon/ports'
import { migrate } from '@antiphon/storage-tools'
import type { Outcome } from '../outcome.ts'
import { expectEmpty, expectFilled, placeAt, placeOf } from '../stores.ts'
import { count } from './described.ts'

export async function migrateStore(from: string, to: string): Promise<Outcome> {
  const [old, made] = [await placeAt(from), placeOf(to)]
  if (old.folder === made.folder) throw invalidArgument('both stores have one folder', 'Name another folder for the new store.')
  await expectFilled(old.folder)
  await expectEmpty(made.folder)
  const { state, entries, snapshotBytes } = await migrate(await old.open(), await made.open())
  const report = { storeId: state.storeId, from: old.folder, to: made.folder, kind: made.kind, last: state.log.last, entries, snapshotBytes }
  const text =
    `store ${state.storeId} is now in ${made.folder} (${made.kind}), with the history to ${formatZxid(state.log.last)}: a snapshot of ${count(snapshotBytes)} bytes, ` +
    `${count(entries)} entries behind it; all of it was read back and compared\nNever start ${old.folder} again: the member would vote twice. Remove it once the new store has been started.\n`
  return { report, text }
}
