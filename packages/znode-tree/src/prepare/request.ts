import type { Millis, Zxid } from '@antiphon/ports'
import type { AccessControl } from '../auth/access-control.ts'
import type { ByteReader } from '../codec/reader.ts'
import type { ByteWriter } from '../codec/writer.ts'
import type { DataTree } from '../data-tree-types.ts'
import type { ZnodeTreeOptions } from '../machine-types.ts'
import type { Overlay } from '../overlay.ts'
import type { QuotaWarnings } from '../quota-warnings.ts'
import type { Identity, SessionId, ZnodeErrorCode } from '../types.ts'

/** What every operation is prepared with. One object, whose last fields are those of the request. */
export interface Preparation {
  readonly options: Required<ZnodeTreeOptions>
  readonly tree: DataTree
  readonly overlay: Overlay
  readonly access: AccessControl
  readonly warnings: QuotaWarnings
  /** The request, behind what is read of it. */
  readonly reader: ByteReader
  /** The change, as far as it is written. */
  readonly change: ByteWriter
  zxid: Zxid
  time: Millis
  tickMs: Millis
  session: SessionId
  attachment: Zxid
  local: boolean
  identities: readonly Identity[]
}

/** Null: it is prepared, and stands in the change; else nothing was touched. */
export type Outcome = ZnodeErrorCode | null
