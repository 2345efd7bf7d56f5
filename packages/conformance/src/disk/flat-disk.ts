import type { Disk } from '@antiphon/storage-kit'

/** Files and what is in them. A store that keeps no files may give its records instead: a name and bytes are all that is asked. */
export type DiskImage = ReadonlyMap<string, Uint8Array>

/**
 * A flat folder by synchronous calls: what a store can be written against so that the suite may record it and make it fail.
 * A store with a medium of another kind needs none of this: it tells what it did as `DiskOperation`s.
 */
export type FlatDisk = Disk

/** One thing that a store did to its disk. `file` numbers what a name stands for (an inode): the same for as long as the file exists, never used again. */
export type DiskOperation =
  /** A file that was there before got its number. */
  | { readonly op: 'open'; readonly name: string; readonly file: number }
  | { readonly op: 'create'; readonly name: string; readonly file: number }
  | { readonly op: 'write'; readonly file: number; readonly offset: number; readonly bytes: Uint8Array }
  /** Cut short, or grown by zeros. */
  | { readonly op: 'resize'; readonly file: number; readonly size: number }
  /** After one that `failed`, nothing of what was written since the last good one can be made durable any more, though it can be read. */
  | { readonly op: 'sync'; readonly file: number; readonly failed: boolean }
  | { readonly op: 'rename'; readonly from: string; readonly to: string }
  | { readonly op: 'remove'; readonly name: string }
  | { readonly op: 'syncDirectory' }

/** `EIO` meets every call, `ENOSPC` those that need room. */
export type FaultCode = 'EIO' | 'ENOSPC'

/** The disk beneath a store, as the suite sees it. */
export interface StoreDisk {
  /** What stood on it at first. */
  readonly initial: DiskImage
  /** What was done to it since, in order. */
  readonly operations: readonly DiskOperation[]
  /** Call number `nth` from now (from 1), of those that this fault can meet, fails with it, once: a write with part of it done. */
  fail(nth: number, code: FaultCode): void
  /** Whether that call has come. */
  readonly failed: boolean
}
