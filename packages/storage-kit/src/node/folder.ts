import { mkdir, open, readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AntiphonError } from '@antiphon/ports'
import { diskError, foreignFolder, isForeign } from '../index.ts'
import { lockFolder, type Unlock } from './folder-lock.ts'
import type { Connect, Link, LinkHandler } from './link.ts'

/** A link to an engine in `folder`, which is taken for as long as the link lasts. `marker`: the file by which a folder of this kind of store is known; a folder with other files and without it is refused. */
export function inFolder(folder: string, marker: string, link: (handler: LinkHandler) => Link): Connect {
  return async (handler) => {
    const unlock = await take(folder, marker).catch((error) => {
      throw diskError(error, 'opening', folder)
    })
    try {
      const inner = link(handler)
      return {
        post: (request, transfer) => inner.post(request, transfer),
        async end() {
          await inner.end()
          await unlock()
        },
      }
    } catch (error) {
      await unlock()
      throw diskError(error, 'opening', folder)
    }
  }
}

/** Checks the option of that name. @throws AntiphonError INVALID_SETTINGS */
export function assertFolder(folder: unknown): asserts folder is string {
  if (typeof folder !== 'string' || folder === '') throw invalid('`folder` must name a folder')
}

async function take(folder: string, marker: string): Promise<Unlock> {
  const existing = await stat(folder).catch(() => null)
  if (existing !== null && !existing.isDirectory()) throw invalid(`${folder} is a file, not a folder`)
  const created = await mkdir(folder, { recursive: true })
  if (created !== undefined) await flushNames(folder, dirname(created))
  const names = await readdir(folder)
  if (isForeign(names, marker)) throw foreignFolder(names, marker)
  return lockFolder(folder)
}

/** Makes the names of folders durable: from `folder` itself up to the one in `above`. */
async function flushNames(folder: string, above: string): Promise<void> {
  if (process.platform === 'win32') return
  for (let at = dirname(folder); ; at = dirname(at)) {
    const handle = await open(at, 'r')
    await handle.sync().finally(() => handle.close())
    if (at === above || at === dirname(at)) return
  }
}

function invalid(message: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy: 'Give the path of a folder that belongs to this store alone.' })
}
