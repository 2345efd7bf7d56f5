import { formatZxid, invalidArgument } from '@antiphon/ports'
import { restore } from '@antiphon/storage-tools'
import { inNewFolders, type MembersFlags, madeText } from '../new-ensemble.ts'
import type { Outcome } from '../outcome.ts'
import { readWhole } from '../whole-file.ts'
import { isFile } from './inspect.ts'

export async function restoreInto(file: string, flags: MembersFlags): Promise<Outcome> {
  if (!(await isFile(file))) throw invalidArgument(`there is no file ${file}`, 'Name a file that `antiphon backup` has made.')
  const restored = await inNewFolders(flags, (members) => restore(() => readWhole(file), members))
  const { ensembleId, backup } = restored.made
  const report = { ensembleId, former: backup.founding.ensembleId, last: backup.last, members: restored.members }
  return { report, text: `a new ensemble, ${ensembleId}, with the history to ${formatZxid(backup.last)}\n${madeText(restored)}` }
}
