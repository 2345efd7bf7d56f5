import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { AntiphonError } from '@antiphon/ports'
import { diskError, u32 } from '@antiphon/storage-kit'
import { type Database as LmdbDatabase, open, type RootDatabase } from 'lmdb'
import { DATA_NAME, damaged } from './format.ts'

/** Named databases that may be open at once: segments of one log and of a staged one, and those that wait to be dropped. */
const DATABASES_MAX = 4096
const BINARY = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const
/** An error must not break out of lmdb's own handling half-way: the only transaction is the one that `commit` begins. */
const ABORTABLE = 1

const KEY_BYTES = 8
const HALF = 0x1_0000_0000

/** Used again by every call: LMDB copies keys. */
const key: Buffer = Buffer.alloc(KEY_BYTES)

/** ZXIDs and small numbers, so that they sort. */
function keyOf(value: number): Buffer {
  key.writeUInt32BE(Math.floor(value / HALF), 0)
  key.writeUInt32BE(value % HALF, 4)
  return key
}

function numberOf(key: Uint8Array): number {
  return u32(key, 0) * HALF + u32(key, 4)
}

/** One database of an environment: values under numbers. */
export class Database {
  readonly #database: LmdbDatabase<Buffer, Buffer>

  constructor(database: LmdbDatabase<Buffer, Buffer>) {
    this.#database = database
  }

  /** Within a commit. */
  put(number: number, value: Uint8Array): void {
    if (!taken(this.#database.putSync(keyOf(number), value as Buffer))) throw new Error('a value was not taken')
  }

  /** Within a commit. Behind every other number: pages are filled one after the other. */
  append(number: number, value: Uint8Array): void {
    if (!taken(this.#database.putSync(keyOf(number), value as Buffer, APPEND))) throw damaged('a segment', 'it holds what was not written', { zxid: number })
  }

  /** A copy in memory of its own: LMDB's is good until the next call of any kind. */
  get(number: number): Uint8Array<ArrayBuffer> | null {
    const found = this.#database.getBinary(keyOf(number))
    if (found === undefined) return null
    const copy = new Uint8Array(found.length)
    copy.set(found)
    return copy
  }

  /** The largest number at or below. */
  floor(number: number): number | null {
    for (const found of this.#database.getKeys({ start: Buffer.from(keyOf(number)), reverse: true, limit: 1 })) return numberOf(found)
    return null
  }

  /** The smallest number above. */
  above(number: number): number | null {
    for (const found of this.#database.getKeys({ start: Buffer.from(keyOf(number + 1)), limit: 1 })) return numberOf(found)
    return null
  }

  /** Within a commit: its pages are free, its handle is closed. */
  drop(): void {
    this.#database.dropSync()
  }
}

const APPEND = { append: true } as const
/** It answers, whatever its type says. */
const taken = (answer: unknown): boolean => answer === true

/**
 * An LMDB environment in one file, for one thread. Every commit is synchronous: data pages, their flush, and the page that names them, by a descriptor that flushes each write, before
 * `commit` returns (`overlappingSync`, which lmdb sets unless told, would let it return before).
 */
export class Environment {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #folder: string
  readonly root: Database
  #closed = false

  /** @throws AntiphonError CORRUPT, DISK_FULL, DISK_FAILED */
  constructor(path: string, mapBytes: number) {
    this.#folder = dirname(path)
    this.#root = checked('opening', this.#folder, () =>
      open<Buffer, Buffer>({ path, noSubdir: true, overlappingSync: false, maxDbs: DATABASES_MAX, mapSize: mapBytes, ...BINARY }),
    )
    this.root = new Database(this.#root)
  }

  /** Everything that `work` does is on the disk when it returns, or nothing is. @throws AntiphonError: nobody knows which; no other commit may follow. */
  commit(work: () => void): void {
    checked('committing', this.#folder, () => this.#root.transactionSync(work, ABORTABLE))
  }

  /** Made, if need be, within a commit. */
  database(name: string): Database {
    return new Database(this.#root.openDB<Buffer, Buffer>(name, BINARY))
  }

  /** Of the named databases. lmdb ends them with a zero. */
  names(): string[] {
    return this.read(() => [...this.#root.getKeys()].filter((name) => name[0] !== 0).map((name) => name.toString('latin1').replace(/\0$/, '')))
  }

  /** Reads, and lets go of what the reading holds: a reader that stays keeps every page that is freed meanwhile. @throws AntiphonError CORRUPT, DISK_FAILED */
  read<T>(work: () => T): T {
    try {
      return checked('reading', this.#folder, work)
    } finally {
      this.#root.resetReadTxn()
    }
  }

  /** Never throws. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#root.close().catch(() => undefined)
  }
}

const DAMAGED = new Set([-30797, -30796, -30793, -30780, -30779])
const MAP_FULL = -30792

function checked<T>(operation: string, folder: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw translated(error, operation, folder)
  }
}

/** LMDB's own codes are negative, the system's positive. */
function translated(error: unknown, operation: string, folder: string): AntiphonError {
  if (error instanceof AntiphonError) return error
  const code = (error as { code?: unknown }).code
  const message = error instanceof Error ? error.message : String(error)
  if (typeof code !== 'number') return diskError(error, operation, DATA_NAME)
  if (DAMAGED.has(code)) return damaged('LMDB finds its pages damaged', message, { lmdb: code })
  return diskError(Object.assign(new Error(message), { code: errnoOf(code, operation, folder) }), operation, DATA_NAME)
}

function errnoOf(code: number, operation: string, folder: string): string {
  if (code === MAP_FULL) return 'ENOSPC'
  if (code < 0) return `MDB ${code}`
  const name = systemName(code)
  // A write that was cut short, as the last one before the disk is full, is EIO to LMDB.
  return name === 'EIO' && operation !== 'reading' && isFull(folder) ? 'ENOSPC' : name
}

function isFull(folder: string): boolean {
  try {
    return statfsSync(folder).bavail === 0
  } catch {
    return false
  }
}

function systemName(code: number): string {
  try {
    return getSystemErrorName(-code)
  } catch {
    return String(code)
  }
}
