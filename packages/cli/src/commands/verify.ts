import { AntiphonError, formatZxid } from '@antiphon/ports'
import type { Damage } from '@antiphon/storage-file'
import { verifyBackup } from '@antiphon/storage-tools'
import type { Outcome } from '../outcome.ts'
import { placeAt } from '../stores.ts'
import { readWhole } from '../whole-file.ts'
import { count } from './described.ts'
import { isFile } from './inspect.ts'

const REMEDY = 'Do not edit or delete anything there. Restore this member from a backup, or wipe its folder and let it be readmitted.'

export async function verify(path: string): Promise<Outcome> {
  return (await isFile(path)) ? verifyFile(path) : verifyStore(path)
}

async function verifyStore(path: string): Promise<Outcome> {
  const place = await placeAt(path)
  const { store, damages, inUse, ...read } = await place.verify()
  const cut = store !== null && 'torn' in store ? store.torn : null
  const report = { kind: 'store', medium: place.kind, inUse, damages, ...read, storeId: store?.storeId ?? null, last: store?.log.last ?? null, torn: cut }
  if (store === null || damages.length > 0) return { report, text: damagesText(damages), damaged: true }
  const torn = cut === null || inUse ? '' : `${cut.file} is torn behind ${cut.offset}, as a crash leaves it: the next start cuts that off.\n`
  const text = `sound: ${count(read.entries)} entries to ${formatZxid(store.log.last)} in ${count(store.segments.length)} segments, ${count(read.chunks)} chunks in ${count(store.snapshots.length)} snapshots\n`
  return { report, text: text + torn }
}

function damagesText(damages: readonly Damage[]): string {
  return `DAMAGED\n${damages.map(damageText).join('')}${REMEDY}\n`
}

function damageText({ file, offset, what }: Damage): string {
  const place = offset === null ? file : `${file} at ${offset}`
  return `  ${place}: ${what.replace(`${place}: `, '')}\n`
}

async function verifyFile(file: string): Promise<Outcome> {
  try {
    const { entries, last, chunks, chunkBytes } = await verifyBackup(readWhole(file))
    return {
      report: { kind: 'backup', damages: [], entries, last, chunks, chunkBytes },
      text: `sound: ${count(entries)} entries to ${formatZxid(last)}, ${count(chunks)} chunks of a snapshot\n`,
    }
  } catch (error) {
    if (!(error instanceof AntiphonError) || error.code !== 'CORRUPT') throw error
    const damages = [{ file, offset: Number(error.details['offset'] ?? 0), what: error.message }]
    return { report: { kind: 'backup', damages }, text: damagesText(damages).replace(REMEDY, error.remedy), damaged: true }
  }
}
