import { createHash } from 'node:crypto'
import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AntiphonError } from '@antiphon/ports'
import { LOCK_NAME } from '../index.ts'

/** Releases the folder. Idempotent. */
export type Unlock = () => Promise<void>

/**
 * One store at a time on a folder, this process included. The lock is a listening local socket whose name follows from the folder's identity: only one can listen, and
 * whatever ends the process ends the lock, so that nothing is stale after a SIGKILL. The lock file says who holds it, for people.
 * @throws AntiphonError FOLDER_IN_USE
 */
export async function lockFolder(folder: string): Promise<Unlock> {
  const address = await addressOf(folder)
  const server = await listen(address)
  if (server === null) {
    throw new AntiphonError('FOLDER_IN_USE', `another store has ${folder} open`, {
      remedy: `Stop the replica that uses it (${LOCK_NAME} in the folder names its process), or give this one a folder of its own.`,
      details: { folder },
    })
  }
  const path = join(folder, LOCK_NAME)
  const stop = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  try {
    await writeFile(path, `pid ${process.pid}\nsocket ${JSON.stringify(address)}\n`)
  } catch (error) {
    await stop()
    throw error
  }
  let released: Promise<void> | null = null
  const release = async (): Promise<void> => {
    await rm(path, { force: true })
    await stop()
  }
  return () => (released ??= release())
}

/** Whether a store has the folder. Takes nothing. */
export async function isLocked(folder: string): Promise<boolean> {
  return answers(await addressOf(folder))
}

/** The same for every path to the folder: links and mounts of this machine included. */
async function addressOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true })
  const identity = process.platform === 'win32' ? (await realpath(folder)).toLowerCase() : `${dev}:${ino}`
  const digest = createHash('sha256').update(identity).digest('hex').slice(0, 32)
  if (process.platform === 'linux') return `\0antiphon-${digest}`
  if (process.platform === 'win32') return `\\\\.\\pipe\\antiphon-${digest}`
  return join(tmpdir(), `antiphon-${digest}.sock`)
}

async function listen(address: string): Promise<Server | null> {
  const server = await tryListen(address)
  if (server !== null || address.startsWith('\0') || address.startsWith('\\')) return server
  // A socket in the file system outlives its process: nobody answers, so it is taken away, and looked at once more where it cannot be anybody's new one.
  if (await answers(address)) return null
  const aside = `${address}.${process.pid}`
  await rename(address, aside).catch(() => undefined)
  if (await answers(aside)) {
    await rename(aside, address)
    return null
  }
  await rm(aside, { force: true })
  return tryListen(address)
}

function tryListen(address: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.unref()
    server.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' || error.code === 'EACCES' ? resolve(null) : reject(error)))
    // exclusive: a cluster's workers would share it otherwise.
    server.listen({ path: address, exclusive: true }, () => resolve(server))
  })
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address)
    const settle = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => settle(true))
    socket.on('error', () => settle(false))
  })
}
