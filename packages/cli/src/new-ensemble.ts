import { readdir, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { invalidArgument } from '@antiphon/ports'
import type { Founded, FoundedMember, NewMember } from '@antiphon/storage-tools'
import { readIds, readPlaces } from './members.ts'
import { expectEmpty, type Place, placeOf } from './stores.ts'

export interface MembersFlags {
  readonly members: readonly string[]
  readonly observers?: readonly string[]
}

export interface Made<T> {
  readonly made: T
  readonly members: readonly (FoundedMember & { readonly folder: string })[]
}

/** `make` founds an ensemble in the folders that the flags name. When it fails, nothing of it stays there. @throws AntiphonError INVALID_ARGUMENT, and what `make` throws */
export async function inNewFolders<T extends Founded>(flags: MembersFlags, make: (members: readonly NewMember[]) => Promise<T>): Promise<Made<T>> {
  const places = new Map([...readPlaces(flags.members)].map(([id, text]) => [id, placeOf(text)]))
  const observers = flags.observers === undefined ? null : readIds(flags.observers)
  for (const id of observers ?? [])
    if (!places.has(id)) throw invalidArgument(`the observer ${id} is not among the members`, 'Name its folder under `--members` too.')
  const folders = [...places.values()].map(({ folder }) => folder)
  if (new Set(folders).size < folders.length) throw invalidArgument('two members have one folder', 'Give each member a folder of its own.')
  const isOurs = new Map<Place, boolean>()
  for (const place of places.values()) isOurs.set(place, !(await expectEmpty(place.folder)))
  const members: NewMember[] = []
  for (const [id, place] of places) {
    const role = observers === null ? {} : { role: observers.includes(id) ? ('observer' as const) : ('voter' as const) }
    members.push({ id, store: await place.open(), ...role })
  }
  try {
    const made = await make(members)
    return { made, members: made.members.map((member) => ({ ...member, folder: places.get(member.id)!.folder })) }
  } catch (error) {
    await remove(isOurs)
    throw error
  }
}

export function madeText({ members }: Made<unknown>): string {
  return members.map(({ id, role, storeId, folder }) => `  ${id} ${role}, store ${storeId}: ${folder}\n`).join('')
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
