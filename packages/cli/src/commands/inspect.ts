import { stat } from 'node:fs/promises'
import { formatZxid } from '@antiphon/ports'
import { type StoreDescription, viewFolder } from '@antiphon/storage-file'
import { BACKUP_FORMAT_VERSION, verifyBackup } from '@antiphon/storage-tools'
import type { Outcome } from '../outcome.ts'
import { readWhole } from '../whole-file.ts'
import { count, lines, membersText } from './described.ts'

export async function inspect(path: string): Promise<Outcome> {
  return (await isFile(path)) ? inspectBackup(path) : inspectStore(path)
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

async function inspectStore(folder: string): Promise<Outcome> {
  const view = await viewFolder(folder)
  try {
    const { description, inUse } = view
    return { report: { kind: 'store', inUse, ...description }, text: storeText(description, inUse) }
  } finally {
    await view.close()
  }
}

function storeText(store: StoreDescription, inUse: boolean): string {
  const { founding, epochs, log, snapshots, segments, torn, leftovers } = store
  const promised = epochs.acceptedFrom === null ? '' : ` (promised to ${epochs.acceptedFrom.leader})`
  const sections = [
    lines([
      ['store', `${store.storeId}, format version ${store.formatVersion}${inUse ? ', in use' : ''}`],
      ['ensemble', founding === null ? 'none yet' : founding.ensembleId],
      ['epochs', `accepted ${epochs.accepted}${promised}, current ${epochs.current}`],
      [
        'log',
        `${count(store.entries)} entries behind ${formatZxid(log.start)}, to ${formatZxid(log.last)}; batch ${count(store.lastBatch)}${store.sealed ? '' : ', not sealed'}`,
      ],
      ['torn end', torn === null ? 'none' : `${torn.file} behind ${torn.offset}: the next start cuts it off`],
      ['leftovers', leftovers.length === 0 ? 'none' : leftovers.join(', ')],
    ]),
  ]
  if (founding !== null) sections.push(`\nmembers, as of ${formatZxid(founding.configuration.version)}\n${membersText(founding.configuration)}\n`)
  sections.push(
    `\nsegments\n${segments.map(({ file, bytes, end, previous, last, entries }) => `  ${file}  ${count(entries)} entries, ${formatZxid(previous)} to ${formatZxid(last)}, ${count(end)} of ${count(bytes)} bytes\n`).join('')}`,
  )
  sections.push(
    `\nsnapshots${snapshots.length === 0 ? ': none' : ''}\n${snapshots.map(({ file, bytes, meta }) => `  ${file}  at ${formatZxid(meta.zxid)}, ${count(bytes)} bytes\n`).join('')}`,
  )
  return sections.join('')
}

async function inspectBackup(file: string): Promise<Outcome> {
  const backup = await verifyBackup(readWhole(file))
  const { founding, snapshot } = backup
  const text = lines([
    ['backup', `of store ${backup.storeId}, format version ${BACKUP_FORMAT_VERSION}`],
    ['ensemble', founding.ensembleId],
    ['snapshot', snapshot === null ? 'none' : `at ${formatZxid(snapshot.zxid)}, ${count(backup.chunkBytes)} bytes in ${count(backup.chunks)} chunks`],
    ['entries', `${count(backup.entries)}, to ${formatZxid(backup.last)}`],
  ])
  return { report: { kind: 'backup', formatVersion: BACKUP_FORMAT_VERSION, ...backup }, text: `${text}\nmembers\n${membersText(founding.configuration)}\n` }
}
