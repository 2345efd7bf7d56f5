import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { invalidArgument, type LogStore } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'

/** A store that a command line names: `./folder`, or `kind:./folder`. */
export interface Place {
  readonly kind: string
  readonly folder: string
  open(): Promise<LogStore>
}

const KINDS: Readonly<Record<string, (folder: string) => Promise<LogStore>>> = {
  file: async (folder) => fileStorage({ folder, mainThread: true }),
  // Loaded by those alone who ask for it: it stands on a native module.
  lmdb: async (folder) => (await import('@antiphon/storage-lmdb')).lmdbStorage({ folder, mainThread: true }),
}

/** @throws AntiphonError INVALID_ARGUMENT */
export function placeOf(text: string): Place {
  const [, kind = 'file', path = ''] = /^(?:([a-z]{2,}):)?(.*)$/s.exec(text) ?? []
  const make = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  if (make === undefined)
    throw invalidArgument(`there is no kind of store \`${kind}\``, `Name one of ${Object.keys(KINDS).join(', ')}: ${Object.keys(KINDS)[0]}:./folder`)
  if (path === '') throw invalidArgument(`\`${text}\` names no folder`, `Name one: ${kind}:./folder`)
  const folder = resolve(path)
  return { kind, folder, open: () => make(folder) }
}

/** A place for something new. True: the folder is there, empty. @throws AntiphonError INVALID_ARGUMENT */
export async function expectEmpty(folder: string): Promise<boolean> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR')
      throw invalidArgument(`${folder} is a file, not a folder`, 'Name an empty folder, or one that is not there yet.')
    throw error
  }
  if (names.length > 0)
    throw invalidArgument(`${folder} is not empty: it holds ${names.slice(0, 3).join(', ')}`, 'Name an empty folder, or one that is not there yet.')
  return true
}

/** A place that has something. @throws AntiphonError INVALID_ARGUMENT */
export async function expectFilled(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  if (names.length === 0) throw invalidArgument(`there is no store in ${folder}`, "Name a store's folder.")
}
