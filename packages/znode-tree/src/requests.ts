import { AntiphonError, corrupt, invalidArgument, isZxid } from '@antiphon/ports'
import { ByteReader } from './codec/reader.ts'
import { ByteWriter } from './codec/writer.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'
import { peerOf, RESERVED_ID } from './sessions/session-id.ts'
import {
  type Acl,
  CREATE_MODES,
  type CreateOperation,
  type Identity,
  type MultiPart,
  type SessionId,
  type SetAclOperation,
  type WriteOperation,
  type WriteRequest,
  type ZnodeRequest,
} from './types.ts'

/*
 * u8 kind, then
 *   WRITE            u64 session, u64 attachment, u8 local, identities, operation
 *   CREATE_SESSION   u8 peer, i32 timeout, u64 id (0: a new one)
 *   ATTACH_SESSION   u64 session, data password, u8 peer, i32 timeout
 *   CLOSE_SESSION    u64 session, u8 has an attachment, u64 attachment
 *   REAP             text path
 *   SET_CONFIG       data
 *
 * An operation: u8 code, then
 *   CREATE           u8 mode, i64 ttl, text path, data, acl
 *   DELETE, CHECK    text path, i32 version
 *   SET_DATA         text path, i32 version, data
 *   SET_ACL          text path, i32 version, acl
 *   MULTI            count, operations
 */
export const WRITE = 1
export const CREATE_SESSION = 2
export const ATTACH_SESSION = 3
export const CLOSE_SESSION = 4
export const REAP = 5
export const SET_CONFIG = 6

export const OP_CREATE = 1
export const OP_DELETE = 2
export const OP_SET_DATA = 3
export const OP_SET_ACL = 4
export const OP_CHECK = 5
export const OP_MULTI = 6

/** The least that a part of a multi takes. */
export const PART_BYTES_MIN = 6
const ID_MAX = 2n ** 64n - 1n
const INT_MIN = -(2 ** 31)
const INT_MAX = 2 ** 31 - 1
/** With TTL nodes the ids of member 255 would be taken for them in what ZooKeeper persists. */
const PEER_MAX_WITH_TTL = 254
const PEER_MAX = 255
const MODES: ReadonlyMap<string, number> = new Map(CREATE_MODES.map((mode, index) => [mode, index]))

/** Requests to bytes and back. */
export class Requests {
  readonly #writer = new ByteWriter()
  readonly #reader = new ByteReader()
  readonly #dataBytesMax: number
  readonly #peerMax: number

  constructor({ dataBytesMax, ttlNodes }: Pick<Required<ZnodeTreeOptions>, 'dataBytesMax' | 'ttlNodes'>) {
    this.#dataBytesMax = dataBytesMax
    this.#peerMax = peerMax(ttlNodes)
  }

  /** @throws AntiphonError INVALID_ARGUMENT; TOO_LARGE of data */
  encode(request: ZnodeRequest): Uint8Array {
    const writer = this.#writer
    writer.reset()
    switch (request?.kind) {
      case 'write':
        this.#encodeWrite(request)
        break
      case 'createSession':
        writer.u8(CREATE_SESSION)
        writer.u8(this.#peer(request.peer))
        writer.i32(timeout(request.timeoutMs))
        writer.session(request.id === null ? 0n : ownSession(request.id, request.peer))
        break
      case 'attachSession':
        writer.u8(ATTACH_SESSION)
        writer.session(session(request.session))
        writer.data(bytesOf(request.password, 'the password'))
        writer.u8(this.#peer(request.peer))
        writer.i32(timeout(request.timeoutMs))
        break
      case 'closeSession':
        writer.u8(CLOSE_SESSION)
        writer.session(session(request.session))
        writer.u8(request.attachment === null ? 0 : 1)
        writer.safe(request.attachment === null ? 0 : attachment(request.attachment))
        break
      case 'reap':
        writer.u8(REAP)
        writer.text(text(request.path, 'the path'))
        break
      case 'setConfig':
        writer.u8(SET_CONFIG)
        writer.data(this.#data(bytesOf(request.data, 'the configuration')))
        break
      default:
        throw invalidArgument(`there is no request of the kind ${String((request as { kind?: unknown } | null)?.kind)}`)
    }
    return writer.finish()
  }

  /** @throws AntiphonError CORRUPT */
  decode(bytes: Uint8Array): ZnodeRequest {
    const reader = this.#reader
    reader.open(bytes)
    const request = decodeRequest(reader, this.#peerMax)
    reader.finish()
    reader.close()
    return request
  }

  #encodeWrite({ session: id, attachment: zxid, local, identities, operation }: WriteRequest): void {
    const writer = this.#writer
    writer.u8(WRITE)
    writer.session(session(id))
    writer.safe(attachment(zxid))
    writer.u8(local === true ? 1 : 0)
    writer.identities(identitiesOf(identities))
    if (operation?.type !== 'multi') {
      if ((operation as { type: string } | undefined)?.type === 'check') throw invalidArgument('a check can stand in a multi only')
      return this.#encodeOperation(operation)
    }
    if (!Array.isArray(operation.operations)) throw invalidArgument('the operations of a multi are no array')
    writer.u8(OP_MULTI)
    writer.count(operation.operations.length)
    for (const part of operation.operations as readonly MultiPart[]) {
      const type = (part as WriteOperation | MultiPart | null)?.type
      if (type === 'setAcl' || type === 'multi') throw invalidArgument(`a multi can not hold a ${type}`)
      this.#encodeOperation(part)
    }
  }

  #encodeOperation(operation: MultiPart | SetAclOperation): void {
    const writer = this.#writer
    switch (operation?.type) {
      case 'create': {
        const mode = MODES.get(operation.mode)
        if (mode === undefined) throw invalidArgument(`there is no create mode ${String(operation.mode)}`, `The modes are: ${CREATE_MODES.join(', ')}.`)
        if (!Number.isSafeInteger(operation.ttlMs)) throw invalidArgument('a TTL is a whole number of milliseconds')
        writer.u8(OP_CREATE)
        writer.u8(mode)
        writer.signed(operation.ttlMs)
        writer.text(text(operation.path, 'a path'))
        writer.data(this.#data(operation.data))
        writer.acl(aclOf(operation.acl))
        return
      }
      case 'delete':
      case 'check':
        writer.u8(operation.type === 'delete' ? OP_DELETE : OP_CHECK)
        writer.text(text(operation.path, 'a path'))
        writer.i32(int(operation.version, 'a version'))
        return
      case 'setData':
        writer.u8(OP_SET_DATA)
        writer.text(text(operation.path, 'a path'))
        writer.i32(int(operation.version, 'a version'))
        writer.data(this.#data(operation.data))
        return
      case 'setAcl':
        writer.u8(OP_SET_ACL)
        writer.text(text(operation.path, 'a path'))
        writer.i32(int(operation.version, 'a version'))
        writer.acl(aclOf(operation.acl))
        return
      default:
        throw invalidArgument(`there is no operation ${String((operation as { type?: unknown } | null)?.type)}`)
    }
  }

  #peer(id: number): number {
    if (!isPeer(id, this.#peerMax)) throw invalidArgument(`a session is made at one of the members 1 to ${this.#peerMax}, not ${id}`)
    return id
  }

  #data(data: Uint8Array | null): Uint8Array | null {
    if (data === null) return null
    const { length } = bytesOf(data, 'the data')
    if (length <= this.#dataBytesMax) return data
    throw new AntiphonError('TOO_LARGE', `a node's data has ${length} bytes, ${this.#dataBytesMax} at most`, {
      remedy: 'Store less in one node, or raise `dataBytesMax` on all replicas.',
      details: { length, dataBytesMax: this.#dataBytesMax },
    })
  }
}

function decodeRequest(reader: ByteReader, max: number): ZnodeRequest {
  const kind = reader.u8()
  switch (kind) {
    case WRITE:
      return {
        kind: 'write',
        session: reader.session(),
        attachment: reader.zxid(),
        local: reader.u8Below(2) === 1,
        identities: reader.identities(),
        operation: decodeOperation(reader),
      }
    case CREATE_SESSION: {
      const [at, timeoutMs] = [readPeer(reader, max), reader.i32()]
      return { kind: 'createSession', peer: at, timeoutMs, id: readOwnSession(reader, at) }
    }
    case ATTACH_SESSION: {
      const id = reader.session()
      const password = reader.dataCopy()
      if (password === null) throw corrupt('a request to attach has no password')
      return { kind: 'attachSession', session: id, password, peer: readPeer(reader, max), timeoutMs: reader.i32() }
    }
    case CLOSE_SESSION: {
      const [id, has, zxid] = [reader.session(), reader.u8Below(2), reader.zxid()]
      return { kind: 'closeSession', session: id, attachment: has === 1 ? zxid : null }
    }
    case REAP:
      return { kind: 'reap', path: reader.text() }
    case SET_CONFIG: {
      const data = reader.dataCopy()
      if (data === null) throw corrupt('a configuration is null')
      return { kind: 'setConfig', data }
    }
    default:
      throw corrupt(`a request is of the unknown kind ${kind}`)
  }
}

function decodeOperation(reader: ByteReader): WriteOperation {
  const code = reader.u8()
  if (code !== OP_MULTI) {
    const operation = decodePart(reader, code)
    if (operation.type === 'check') throw corrupt('a check stands outside a multi')
    return operation
  }
  const operations: MultiPart[] = []
  for (let rest = reader.countOf(PART_BYTES_MIN); rest > 0; rest--) {
    const part = decodePart(reader, reader.u8())
    if (part.type === 'setAcl') throw corrupt('a multi holds a setAcl')
    operations.push(part)
  }
  return { type: 'multi', operations }
}

function decodePart(reader: ByteReader, code: number): MultiPart | SetAclOperation {
  switch (code) {
    case OP_CREATE: {
      const mode = CREATE_MODES[reader.u8Below(CREATE_MODES.length)]!
      const ttlMs = reader.signed()
      const operation: CreateOperation = { type: 'create', path: reader.text(), data: reader.dataCopy(), acl: reader.acl(), mode, ttlMs }
      return operation
    }
    case OP_DELETE:
      return { type: 'delete', path: reader.text(), version: reader.i32() }
    case OP_CHECK:
      return { type: 'check', path: reader.text(), version: reader.i32() }
    case OP_SET_DATA: {
      const [path, version] = [reader.text(), reader.i32()]
      return { type: 'setData', path, data: reader.dataCopy(), version }
    }
    case OP_SET_ACL: {
      const [path, version] = [reader.text(), reader.i32()]
      return { type: 'setAcl', path, acl: reader.acl(), version }
    }
    default:
      throw corrupt(`an operation has the unknown code ${code}`)
  }
}

/** The highest id of a member that may make sessions. */
export function peerMax(ttlNodes: boolean): number {
  return ttlNodes ? PEER_MAX_WITH_TTL : PEER_MAX
}

/** Where a session is made or taken over. @throws AntiphonError CORRUPT */
export function readPeer(reader: ByteReader, max: number): number {
  const id = reader.u8()
  if (!isPeer(id, max)) throw corrupt(`a request is of the session of ${id}, which is no member`)
  return id
}

/** The id that a session of that member brings; null: it is to get one. @throws AntiphonError CORRUPT */
export function readOwnSession(reader: ByteReader, at: number): SessionId | null {
  const id = reader.session()
  if (id === 0n) return null
  if (!isOwnSession(id, at)) throw corrupt(`0x${id.toString(16)} is no session id of member ${at}`)
  return id
}

function session(id: SessionId): SessionId {
  if (typeof id !== 'bigint' || id < 0n || id > ID_MAX) throw invalidArgument('a session id is a bigint of 64 bits')
  return id
}

/** An id that the member has given out by itself: the next one is the member's too, and it is none that ZooKeeper takes for something else. */
function isOwnSession(id: SessionId, at: number): boolean {
  return peerOf(id) === at && peerOf(id + 1n) === at && id !== RESERVED_ID
}

function ownSession(id: SessionId, at: number): SessionId {
  if (!isOwnSession(session(id), at)) throw invalidArgument(`0x${id.toString(16)} is no session id of member ${at}`)
  return id
}

function isPeer(id: number, max: number): boolean {
  return Number.isInteger(id) && id >= 1 && id <= max
}

function attachment(zxid: number): number {
  if (!isZxid(zxid)) throw invalidArgument('an attachment is a ZXID')
  return zxid
}

/** Whatever is asked for is brought within the limits later, as ZooKeeper does. */
function timeout(value: number): number {
  if (typeof value !== 'number' || Number.isNaN(value)) throw invalidArgument('a timeout is a number of milliseconds')
  return Math.trunc(Math.min(Math.max(value, INT_MIN), INT_MAX))
}

function int(value: number, what: string): number {
  if (!Number.isInteger(value) || value < INT_MIN || value > INT_MAX) throw invalidArgument(`${what} is an integer of 32 bits`)
  return value
}

function text(value: string, what: string): string {
  if (typeof value !== 'string') throw invalidArgument(`${what} is no string`)
  return value
}

function bytesOf(value: Uint8Array, what: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalidArgument(`${what} is no Uint8Array`)
  return value
}

function aclOf(acl: readonly Acl[]): readonly Acl[] {
  if (!Array.isArray(acl)) throw invalidArgument('an ACL is no array')
  for (const entry of acl as readonly Acl[]) {
    int(entry?.perms, 'the permissions of an ACL')
    text(entry.scheme, 'the scheme of an ACL')
    text(entry.id, 'the id of an ACL')
  }
  return acl
}

function identitiesOf(identities: readonly Identity[]): readonly Identity[] {
  if (!Array.isArray(identities)) throw invalidArgument('identities are no array')
  for (const identity of identities as readonly Identity[]) {
    text(identity?.scheme, 'the scheme of an identity')
    text(identity.id, 'the id of an identity')
  }
  return identities
}
