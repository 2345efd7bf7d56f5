import { type AntiphonError, corrupt, type PrimaryContext } from '@antiphon/ports'
import type { AccessControl } from '../auth/access-control.ts'
import { FAILED, MULTI, MULTI_FAILED, PART_BEFORE, PART_BEHIND, PART_FAILED } from '../changes.ts'
import { ByteReader } from '../codec/reader.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { DataTree } from '../data-tree-types.ts'
import type { ZnodeTreeOptions } from '../machine-types.ts'
import type { Overlay } from '../overlay.ts'
import { QuotaWarnings } from '../quota-warnings.ts'
import { ATTACH_SESSION, CLOSE_SESSION, CREATE_SESSION, OP_CHECK, OP_MULTI, OP_SET_ACL, PART_BYTES_MIN, REAP, SET_CONFIG, WRITE } from '../requests.ts'
import { ZNODE_ERRORS, type ZnodeErrorCode } from '../types.ts'
import { checkSession } from './checks.ts'
import { prepareOperation } from './operations.ts'
import { prepareReap, prepareSetConfig } from './own.ts'
import type { Outcome, Preparation } from './request.ts'
import { prepareAttachSession, prepareCloseSession, prepareCreateSession } from './sessions.ts'

/** Requests to changes, on the primary. */
export class Preparer {
  readonly #preparation: Preparation

  /** `warn`: of quotas that are exceeded and refuse nothing. Must not throw. */
  constructor(options: Required<ZnodeTreeOptions>, tree: DataTree, overlay: Overlay, access: AccessControl, warn: (warning: AntiphonError) => void) {
    const warnings = new QuotaWarnings(warn)
    const none = { zxid: 0 as Preparation['zxid'], time: 0, tickMs: 0, session: 0n, attachment: 0 as Preparation['zxid'], local: false, identities: [] }
    this.#preparation = { options, tree, overlay, access, warnings, reader: new ByteReader(), change: new ByteWriter(), ...none }
  }

  /**
   * The change that `request` comes to. A write that fails is a change too, and has its ZXID.
   * @throws AntiphonError CORRUPT of what is no request; REFUSED of a reaping or an expiry that the leader asked for and that is not due any more. Nothing is prepared then.
   */
  prepare(request: Uint8Array, { zxid, time, tickMs }: Pick<PrimaryContext, 'zxid' | 'time' | 'tickMs'>): Uint8Array {
    const preparation = this.#preparation
    const { overlay, reader, change, warnings } = preparation
    preparation.zxid = zxid
    preparation.time = time
    preparation.tickMs = tickMs
    reader.open(request)
    change.reset()
    overlay.begin()
    warnings.begin()
    try {
      const refused = this.#dispatch()
      if (refused !== null) writeFailure(preparation, refused)
    } catch (thrown) {
      overlay.rollback()
      throw thrown
    } finally {
      reader.close()
    }
    overlay.commit(zxid)
    warnings.commit()
    return change.finish()
  }

  /** The session in whose name the last request was made; 0n: it was no write. */
  get session(): bigint {
    return this.#preparation.session
  }

  #dispatch(): Outcome {
    const preparation = this.#preparation
    const { reader } = preparation
    const kind = reader.u8()
    preparation.session = 0n
    switch (kind) {
      case WRITE:
        return this.#write()
      case CREATE_SESSION:
        return prepareCreateSession(preparation)
      case ATTACH_SESSION:
        return prepareAttachSession(preparation)
      case CLOSE_SESSION:
        return prepareCloseSession(preparation)
      case REAP:
        return prepareReap(preparation)
      case SET_CONFIG:
        return prepareSetConfig(preparation)
      default:
        throw corrupt(`a request is of the unknown kind ${kind}`)
    }
  }

  #write(): Outcome {
    const preparation = this.#preparation
    const { reader } = preparation
    preparation.session = reader.session()
    preparation.attachment = reader.zxid()
    preparation.local = reader.u8Below(2) === 1
    preparation.identities = reader.identities()
    const code = reader.u8()
    if (code === OP_MULTI) return this.#multi()
    if (code === OP_CHECK) throw corrupt('a check stands outside a multi')
    const outcome = prepareOperation(preparation, code)
    reader.finish()
    return outcome
  }

  /** Each part sees what those before it have done. The first that fails undoes them all, and says so in place of them. */
  #multi(): Outcome {
    const preparation = this.#preparation
    const { reader, change, overlay } = preparation
    const count = reader.countOf(PART_BYTES_MIN)
    if (count === 0) {
      const refused = checkSession(preparation)
      if (refused !== null) return refused
    }
    change.u8(MULTI)
    change.count(count)
    for (let part = 0; part < count; part++) {
      const code = reader.u8()
      if (code === OP_MULTI || code === OP_SET_ACL) throw corrupt(`a multi holds the operation ${code}`)
      const failed = prepareOperation(preparation, code)
      if (failed === null) continue
      overlay.rollback()
      writeMultiFailure(preparation, count, part, failed)
      return null
    }
    reader.finish()
    return null
  }
}

function writeFailure({ change, warnings }: Preparation, error: ZnodeErrorCode): void {
  warnings.begin()
  change.reset()
  change.u8(FAILED)
  change.i16(ZNODE_ERRORS[error])
}

function writeMultiFailure({ change, warnings }: Preparation, count: number, before: number, error: ZnodeErrorCode): void {
  warnings.begin()
  change.reset()
  change.u8(MULTI_FAILED)
  change.i16(ZNODE_ERRORS[error])
  change.count(count)
  for (let part = 0; part < count; part++) change.u8(part < before ? PART_BEFORE : part === before ? PART_FAILED : PART_BEHIND)
}
