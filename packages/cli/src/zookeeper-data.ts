import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { formatZxid, invalidArgument, type Zxid } from '@antiphon/ports'
import { type TakenOver, takeOverZooKeeper } from '@antiphon/znode-tree'

export interface ZooKeeperFlags {
  /** Where the server's `dataLogDir` is, if it has one. */
  readonly logs?: string
}

export interface ZooKeeperData extends TakenOver {
  /** That the snapshots are in. */
  readonly folder: string
}

export const VERSIONED = 'version-2'
const SNAPSHOT = /^snapshot\.[\da-f]+(\.\w+)?$/
const LOG = /^log\.[\da-f]+$/
const EPOCH_FILES = ['acceptedEpoch', 'currentEpoch']
const REMEDY = 'Name the `dataDir` of a ZooKeeper server that is stopped, or the folder `version-2` in it.'

/** A ZooKeeper's `dataDir`, or the `version-2` in it, has snapshots. */
export async function isZooKeeperData(path: string): Promise<boolean> {
  const names = await readdir(await versioned(path)).catch((): string[] => [])
  return names.some((name) => SNAPSHOT.test(name))
}

/** What a stopped server has left. `isAlone`: a snapshot that was made while nothing else went on, which needs no log. @throws AntiphonError INVALID_ARGUMENT, CORRUPT */
export async function readZooKeeperData(path: string, { logs, isAlone = false }: ZooKeeperFlags & { readonly isAlone?: boolean }): Promise<ZooKeeperData> {
  const folder = await versioned(path)
  const logFolder = logs === undefined ? folder : await versioned(logs)
  const before = await filesIn(folder, logFolder)
  const names = [...before.keys()]
  if (!names.some((name) => SNAPSHOT.test(name))) throw invalidArgument(`there is no snapshot of ZooKeeper in ${folder}`, REMEDY)
  if (!isAlone && !names.some((name) => LOG.test(name))) {
    // A snapshot alone may have changes in part: ZooKeeper writes it while they go on.
    const remedy =
      logs === undefined ? 'If the server has a `dataLogDir`, name it: `--logs <folder>`.' : 'Name the `dataLogDir` of the server, or leave out `--logs`.'
    throw invalidArgument(`there is no log of ZooKeeper in ${logFolder}`, remedy)
  }
  const read = (name: string): AsyncIterable<Uint8Array> => createReadStream(join(LOG.test(name) ? logFolder : folder, name))
  const taken = await takeOverZooKeeper({ names, read })
  const after = await filesIn(folder, logFolder)
  const changed = [...after].find(([name, state]) => before.get(name) !== state)?.[0] ?? names.find((name) => !after.has(name))
  if (changed !== undefined) throw invalidArgument(`${changed} was changed while it was read: the server runs`, 'Stop the server, then try again.')
  return { ...taken, folder }
}

/** As we write it, and as ZooKeeper does. */
export function zxidText(zxid: Zxid): string {
  return `${formatZxid(zxid)} (0x${zxid.toString(16)})`
}

async function versioned(path: string): Promise<string> {
  const inside = join(resolve(path), VERSIONED)
  const isThere = await stat(inside).then(
    (found) => found.isDirectory(),
    () => false,
  )
  return isThere ? inside : resolve(path)
}

/** What may be read, with something that changes when it is written to. */
async function filesIn(folder: string, logFolder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  const add = async (from: string, isWanted: (name: string) => boolean): Promise<void> => {
    for (const name of (await namesIn(from)).filter(isWanted)) {
      const { size, mtimeMs } = await stat(join(from, name))
      files.set(name, `${size} ${mtimeMs}`)
    }
  }
  await add(folder, (name) => SNAPSHOT.test(name) || EPOCH_FILES.includes(name))
  await add(logFolder, (name) => LOG.test(name))
  return files
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw invalidArgument(`there is no folder ${folder}`, REMEDY)
    throw error
  }
}
