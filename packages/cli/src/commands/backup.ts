import { formatZxid, invalidArgument } from '@antiphon/ports'
import { backup, verifyBackup } from '@antiphon/storage-tools'
import type { Outcome } from '../outcome.ts'
import { placeAt } from '../stores.ts'
import { readWhole, writeWhole } from '../whole-file.ts'
import { count } from './described.ts'

export interface BackupFlags {
  readonly snapshotOnly?: boolean
}

export async function backUp(folder: string, file: string, { snapshotOnly = false }: BackupFlags): Promise<Outcome> {
  const view = await (await placeAt(folder)).view()
  try {
    const [damage] = view.troubles ?? []
    if (damage !== undefined) throw damage
    const { snapshot, log } = view.state
    if (snapshotOnly && snapshot === null) throw invalidArgument('there is no snapshot yet', 'Leave out `--snapshot-only`.')
    const upTo = snapshotOnly ? snapshot!.zxid : log.last
    const bytes = await writeWhole(file, backup(view, { upTo }))
    // What can be read back is what counts.
    const { entries, last, chunks, founding } = await verifyBackup(readWhole(file))
    const text = `${file}: ${count(bytes)} bytes, the history to ${formatZxid(last)}: ${count(chunks)} chunks of a snapshot, ${count(entries)} entries behind it\n`
    return { report: { file, bytes, last, chunks, entries, ensembleId: founding.ensembleId, inUse: view.inUse }, text }
  } finally {
    await view.close()
  }
}
