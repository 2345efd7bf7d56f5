import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { invalidArgument } from '@antiphon/ports'
import { newAuthority } from '../certificates.ts'
import { readIds } from '../members.ts'
import type { Outcome } from '../outcome.ts'
import { expectEmpty } from '../stores.ts'

export interface CertificatesFlags {
  readonly members: readonly string[]
  readonly out: string
  readonly days: string
}

const DAYS_MAX = 3650
/** Keys are for their owner alone. */
const KEY_MODE = 0o600

export async function writeCertificates(flags: CertificatesFlags): Promise<Outcome> {
  const ids = readIds(flags.members)
  if (ids.length === 0) throw invalidArgument('no member is named', 'Name their ids: --members 1,2,3')
  const days = Number(flags.days)
  if (!Number.isInteger(days) || days < 1 || days > DAYS_MAX)
    throw invalidArgument(`\`${flags.days}\` is no number of days`, `Give an integer from 1 to ${DAYS_MAX}.`)
  const folder = resolve(flags.out)
  await expectEmpty(folder)
  await mkdir(folder, { recursive: true })
  const authority = await newAuthority({ days })
  await writeFile(join(folder, 'ca.pem'), authority.ca)
  const members: { readonly id: number; readonly cert: string; readonly key: string }[] = []
  for (const id of ids) {
    const { cert, key } = await authority.member(id)
    const files = { id, cert: join(folder, `member-${id}.pem`), key: join(folder, `member-${id}.key`) }
    await writeFile(files.cert, cert)
    await writeFile(files.key, key, { mode: KEY_MODE })
    members.push(files)
  }
  const text = `${join(folder, 'ca.pem')}: an authority for ${days} days, whose key is kept nowhere: for further members make all of them anew\n`
  return { report: { ca: join(folder, 'ca.pem'), days, members }, text: text + members.map(({ id, cert, key }) => `  ${id}: ${cert}, ${key}\n`).join('') }
}
