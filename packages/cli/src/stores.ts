import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { invalidArgument, type LogStore } from '@antiphon/ports'
import { type StoreDescription as FileDescription, fileStorage, verifyFolder, viewFolder } from '@antiphon/storage-file'
import type { FolderView, StoreDescription as LmdbDescription, Verification } from '@antiphon/storage-lmdb'

export type Description = ({ readonly medium: 'file' } & FileDescription) | ({ readonly medium: 'lmdb' } & LmdbDescription)
export type Verified = Verification<FileDescription | LmdbDescription> & { readonly inUse: boolean }

/** A store that a command line names: `./folder`, or `kind:./folder`. */
export interface Place {
  readonly kind: Medium
  readonly folder: string
  open(): Promise<LogStore>
  /** As it stands, also while a replica runs on it. */
  view(): Promise<FolderView<Description>>
  verify(): Promise<Verified>
}

type Medium = Description['medium']

interface Kind {
  /** The file by which its folder is known. */
  readonly marker: string
  open(folder: string): Promise<LogStore>
  view(folder: string): Promise<FolderView<Description>>
  verify(folder: string): Promise<Verified>
}

const KINDS: Readonly<Record<Medium, Kind>> = {
  file: {
    marker: 'antiphon-store',
    open: async (folder) => fileStorage({ folder, mainThread: true }),
    async view(folder) {
      const view = await viewFolder(folder)
      return { ...view, description: { medium: 'file', ...view.description } }
    },
    verify: verifyFolder,
  },
  // Loaded by those alone who ask for it: it stands on a native module.
  lmdb: {
    marker: 'antiphon-lmdb',
    open: async (folder) => (await import('@antiphon/storage-lmdb')).lmdbStorage({ folder, mainThread: true }),
    async view(folder) {
      const view = await (await import('@antiphon/storage-lmdb')).viewFolder(folder)
      return { ...view, description: { medium: 'lmdb', ...view.description } }
    },
    verify: async (folder) => (await import('@antiphon/storage-lmdb')).verifyFolder(folder),
  },
}

/** A store that is to be: in files unless another kind is named. @throws AntiphonError INVALID_ARGUMENT */
export function placeOf(text: string): Place {
  const { kind = 'file', folder } = named(text)
  return place(kind, folder)
}

/** A store that is there: of the kind that is named, else of the one that its folder shows. @throws AntiphonError INVALID_ARGUMENT */
export async function placeAt(text: string): Promise<Place> {
  const { kind, folder } = named(text)
  if (kind !== undefined) return place(kind, folder)
  const names = await readdir(folder).catch((): string[] => [])
  return place(names.includes(KINDS.lmdb.marker) ? 'lmdb' : 'file', folder)
}

function named(text: string): { readonly kind?: Medium; readonly folder: string } {
  const [, kind, path = ''] = /^(?:([a-z]{2,}):)?(.*)$/s.exec(text) ?? []
  if (kind !== undefined && !Object.hasOwn(KINDS, kind))
    throw invalidArgument(`there is no kind of store \`${kind}\``, `Name one of ${Object.keys(KINDS).join(', ')}: ${Object.keys(KINDS)[0]}:./folder`)
  if (path === '') throw invalidArgument(`\`${text}\` names no folder`, `Name one: ${kind ?? 'file'}:./folder`)
  return { ...(kind === undefined ? {} : { kind: kind as Medium }), folder: resolve(path) }
}

function place(kind: Medium, folder: string): Place {
  const { open, view, verify } = KINDS[kind]
  return { kind, folder, open: () => open(folder), view: () => view(folder), verify: () => verify(folder) }
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
