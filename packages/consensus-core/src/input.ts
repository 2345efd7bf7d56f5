import type { Message } from './messages.ts'
import type { Run } from './run.ts'
import type { Digest, PeerId, SnapshotMeta, StoreId } from './types.ts'
import type { Zxid } from './zxid.ts'

/** Everything that happens to a core. The shell validates what comes from outside before it becomes an input. */
export type Input =
  /** Time has passed: once every `tickMs`. */
  | { readonly kind: 'tick' }
  /** A message on a live connection. From ourselves: `from` is our own id and `connection` 0 (an `Outgoing` to ourselves comes back this way). */
  | { readonly kind: 'message'; readonly from: PeerId; readonly connection: number; readonly message: Message }
  /** A batch that the shell has framed behind `Core.primary()`; nothing else was stepped in between. */
  | { readonly kind: 'propose'; readonly run: Run }
  /** A linearizable read; `number` comes back in a `ReadGrant`. */
  | { readonly kind: 'read'; readonly number: number }
  /** Write `ticket`, and all before it, are durable. Stepped before the write's `afterwards` go out. */
  | { readonly kind: 'persisted'; readonly ticket: number }
  /** The leader's own transfer: a DIFF's last run was handed to the connection; `ok: false`: the transfer (of either kind) failed. */
  | { readonly kind: 'transferred'; readonly transfer: number; readonly upTo: Zxid; readonly ok: boolean }
  /** The receiver's side of a SNAP: all chunks are stored under `generation`. */
  | { readonly kind: 'staged'; readonly transfer: number; readonly generation: number; readonly ok: boolean }
  /** Everything up to `upTo` is in the machines. */
  | { readonly kind: 'applied'; readonly upTo: Zxid }
  /** The digest of the machines as of `zxid`, whose counter is a multiple of `digestEvery`. Comes before the `applied` that covers it. */
  | { readonly kind: 'digest'; readonly zxid: Zxid; readonly digest: Digest }
  /** A leader's snapshot is in the machines of a replica that was quarantined; null: transfer `transfer` came to nothing. `transfer` 0: it came by an install. */
  | { readonly kind: 'rebuilt'; readonly transfer: number; readonly snapshot: SnapshotMeta | null }
  /** A snapshot of our own is durable, or compaction has moved the log's start. */
  | { readonly kind: 'compacted'; readonly snapshot: SnapshotMeta; readonly start: Zxid }
  /** `storeId` as the peer's greeting told it; null when down. */
  | { readonly kind: 'connection'; readonly peer: PeerId; readonly connection: number; readonly up: boolean; readonly storeId: StoreId | null }
