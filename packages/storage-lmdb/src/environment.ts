import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { AntiphonError } from '@antiphon/ports'
import { diskError, u32 } from '@antiphon/storage-kit'
import { type Database as LmdbDatabase, open, type RootDatabase, type Transaction } from 'lmdb'
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
  /** The moment that is read; none: the newest one. */
  readonly #moment: { readonly transaction?: Transaction }

  constructor(database: LmdbDatabase<Buffer, Buffer>, transaction?: Transaction) {
    this.#database = database
    this.#moment = transaction === undefined ? {} : { transaction }
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
    const found = this.#read(keyOf(number))
    if (found === undefined) return null
    const copy = new Uint8Array(found.length)
    copy.set(found)
    return copy
  }

  /** The largest number at or below. */
  floor(number: number): number | null {
    for (const found of this.#database.getKeys({ ...this.#moment, start: Buffer.from(keyOf(number)), reverse: true, limit: 1 })) return numberOf(found)
    return null
  }

  /** The smallest number above. */
  above(number: number): number | null {
    for (const found of this.#database.getKeys({ ...this.#moment, start: Buffer.from(keyOf(number + 1)), limit: 1 })) return numberOf(found)
    return null
  }

  #read(key: Buffer): Buffer | undefined {
    // lmdb takes the options, which its type leaves out.
    const { getBinary } = this.#database as unknown as { getBinary(key: Buffer, options: object): Buffer | undefined }
    return getBinary.call(this.#database, key, this.#moment)
  }

  /** Within a commit: its pages are free, its handle is closed. */
  drop(): void {
    this.#database.dropSync()
  }
}

const APPEND = { append: true } as const
/** It answers, whatever its type says. */
const taken = (answer: unknown): boolean => answer === true

/** Where databases are found by name. */
export interface Databases {
  database(name: string): Database
}

/** lmdb ends them with a zero; keys of values begin with one. */
function namesIn(root: RootDatabase<Buffer, Buffer>, moment: { readonly transaction?: Transaction } = {}): string[] {
  return [...root.getKeys(moment)].filter((name) => name[0] !== 0).map((name) => name.toString('latin1').replace(/\0$/, ''))
}

/**
 * An LMDB environment in one file, for one thread. Every commit is synchronous: data pages, their flush, and the page that names them, by a descriptor that flushes each write, before
 * `commit` returns (`overlappingSync`, which lmdb sets unless told, would let it return before).
 */
export class Environment implements Databases {
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

  /** Of the named databases. */
  names(): string[] {
    return this.read(() => namesIn(this.#root))
  }

  /** In bytes of the file: behind the last page that was ever used. */
  get end(): number {
    // Its type leaves out what it tells of the environment.
    const { lastPageNumber, pageSize } = this.read(() => this.#root.getStats()) as { lastPageNumber: number; pageSize: number }
    return (lastPageNumber + 1) * pageSize
  }

  /** A process that ended while it read would keep every page that is freed until the environment is opened anew. */
  releaseDead(): void {
    checked('looking for readers', this.#folder, () => this.#root.readerCheck())
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

const LOOKS_MAX = 200

/** One moment of an environment that another process may be writing to. To be had once in a process that has it not open otherwise. */
export class EnvironmentView implements Databases {
  readonly #databases = new Map<string, LmdbDatabase<Buffer, Buffer>>()
  readonly #transaction: Transaction
  readonly root: Database
  readonly names: readonly string[]

  /** @throws AntiphonError CORRUPT, DISK_FAILED */
  constructor(path: string) {
    const folder = dirname(path)
    const mapSize = Math.max(2 ** 28, 2 * statSync(path).size)
    const root = checked('opening', folder, () => open<Buffer, Buffer>({ path, noSubdir: true, readOnly: true, maxDbs: DATABASES_MAX, mapSize, ...BINARY }))
    const [transaction, names] = checked('reading', folder, () => this.#begin(root))
    this.#transaction = transaction
    this.names = names
    this.root = new Database(root, transaction)
  }

  database(name: string): Database {
    return new Database(this.#databases.get(name)!, this.#transaction)
  }

  /** LMDB sees in a transaction those databases only that were opened before it began. */
  #begin(root: RootDatabase<Buffer, Buffer>): [Transaction, string[]] {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      for (const name of namesIn(root)) this.#open(root, name)
      root.resetReadTxn()
      const transaction = root.useReadTransaction()
      const names = namesIn(root, { transaction })
      if (names.every((name) => this.#databases.has(name))) return [transaction, names]
      transaction.done()
    }
    throw new Error('databases come and go faster than they are opened')
  }

  #open(root: RootDatabase<Buffer, Buffer>, name: string): void {
    if (this.#databases.has(name)) return
    try {
      this.#databases.set(name, root.openDB<Buffer, Buffer>(name, BINARY))
    } catch (error) {
      // It was dropped meanwhile.
      if (!/not found/i.test((error as Error).message)) throw error
    }
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
