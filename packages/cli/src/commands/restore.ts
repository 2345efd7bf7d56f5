import { readdir, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { formatZxid, invalidArgument } from '@antiphon/ports'
import { type RestoreMember, restore } from '@antiphon/storage-tools'
import { readIds, readPlaces } from '../members.ts'
import type { Outcome } from '../outcome.ts'
import { expectEmpty, type Place, placeOf } from '../stores.ts'
import { readWhole } from '../whole-file.ts'
import { isFile } from './inspect.ts'

export interface RestoreFlags {
  readonly members: readonly string[]
  readonly observers?: readonly string[]
}

export async function restoreInto(file: string, flags: RestoreFlags): Promise<Outcome> {
  if (!(await isFile(file))) throw invalidArgument(`there is no file ${file}`, 'Name a file that `antiphon backup` has made.')
  const places = new Map([...readPlaces(flags.members)].map(([id, text]) => [id, placeOf(text)]))
  const observers = flags.observers === undefined ? null : readIds(flags.observers)
  for (const id of observers ?? [])
    if (!places.has(id)) throw invalidArgument(`the observer ${id} is not among the members`, 'Name its folder under `--members` too.')
  const folders = [...places.values()].map(({ folder }) => folder)
  if (new Set(folders).size < folders.length) throw invalidArgument('two members have one folder', 'Give each member a folder of its own.')
  const made = new Map<Place, boolean>()
  for (const place of places.values()) made.set(place, !(await expectEmpty(place.folder)))
  const members: RestoreMember[] = []
  for (const [id, place] of places) {
    const role = observers === null ? {} : { role: observers.includes(id) ? ('observer' as const) : ('voter' as const) }
    members.push({ id, store: await place.open(), ...role })
  }
  try {
    const restored = await restore(() => readWhole(file), members)
    const { ensembleId, backup } = restored
    const report = {
      ensembleId,
      former: backup.founding.ensembleId,
      last: backup.last,
      members: restored.members.map((member) => ({ ...member, folder: places.get(member.id)!.folder })),
    }
    const text = `a new ensemble, ${ensembleId}, with the history to ${formatZxid(backup.last)}\n`
    return { report, text: text + report.members.map(({ id, role, storeId, folder }) => `  ${id} ${role}, store ${storeId}: ${folder}\n`).join('') }
  } catch (error) {
    await remove(made)
    throw error
  }
}

/** They were empty, or not there. */
async function remove(made: ReadonlyMap<Place, boolean>): Promise<void> {
  for (const [{ folder }, isOurs] of made) {
    if (isOurs) await rm(folder, { recursive: true, force: true })
    else await empty(folder)
  }
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) await rm(resolve(folder, name), { recursive: true, force: true })
}
