import { createReadStream } from 'node:fs'
import { access, open, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { invalidArgument } from '@antiphon/ports'

/** Flushed in steps, so that the system's own memory of it stays small. */
const SYNC_EVERY_BYTES = 64 * 1024 * 1024
const READ_BYTES = 256 * 1024

/** The file appears under its name when it is whole and flushed; never over another. How many bytes it has. @throws AntiphonError INVALID_ARGUMENT */
export async function writeWhole(file: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const path = resolve(file)
  await expectAbsent(path)
  const aside = `${path}.new`
  await rm(aside, { force: true })
  const handle = await open(aside, 'wx')
  let bytes = 0
  try {
    let unsynced = 0
    for await (const piece of pieces) {
      await handle.writeFile(piece)
      bytes += piece.length
      unsynced += piece.length
      if (unsynced < SYNC_EVERY_BYTES) continue
      await handle.datasync()
      unsynced = 0
    }
    await handle.sync()
    await handle.close()
    await expectAbsent(path)
    await rename(aside, path)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(aside, { force: true })
    throw error
  }
  await flushFolder(dirname(path))
  return bytes
}

export function readWhole(file: string): AsyncIterable<Uint8Array> {
  return createReadStream(file, { highWaterMark: READ_BYTES })
}

async function expectAbsent(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere) throw invalidArgument(`${path} is there already`, 'Name a file that is not there yet, or remove that one first.')
}

async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
