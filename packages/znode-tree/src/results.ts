import { corrupt } from '@antiphon/ports'
import { ByteReader } from './codec/reader.ts'
import { ByteWriter } from './codec/writer.ts'
import { type OperationResult, type Stat, ZNODE_ERRORS, type ZnodeErrorCode, type ZnodeResult } from './types.ts'

/*
 * u64 zxid, then an outcome: u8 type, then
 *   CREATE           text path, stat
 *   SET_DATA, SET_ACL  stat
 *   ERROR            i16 code
 *   MULTI            count, outcomes
 *   SESSION          u64 id, data password, u32 timeout
 */
const CREATED = 1
const DATA_SET = 2
const ACL_SET = 3
const DELETED = 4
const CHECKED = 5
const ERROR = 6
const MULTI = 7
const SESSION = 8
const DONE = 9

const NAMES: ReadonlyMap<number, ZnodeErrorCode> = new Map((Object.keys(ZNODE_ERRORS) as ZnodeErrorCode[]).map((name) => [ZNODE_ERRORS[name], name] as const))

/** @throws AntiphonError CORRUPT of a number that is no code */
export function errorOfNumber(code: number): ZnodeErrorCode {
  const name = NAMES.get(code)
  if (name === undefined) throw corrupt(`${code} is no error code`)
  return name
}

/** Results to bytes and back. */
export class Results {
  readonly #writer = new ByteWriter()
  readonly #reader = new ByteReader()

  /** A view, valid until the next call. */
  encode(result: ZnodeResult): Uint8Array {
    const writer = this.#writer
    writer.reset()
    writer.safe(result.zxid)
    switch (result.type) {
      case 'multi':
        writer.u8(MULTI)
        writer.count(result.results.length)
        for (const part of result.results) this.#encodePart(part)
        break
      case 'session':
        writer.u8(SESSION)
        writer.session(result.session)
        writer.data(result.password)
        writer.u32(result.timeoutMs)
        break
      case 'done':
        writer.u8(DONE)
        break
      default:
        this.#encodePart(result)
    }
    return writer.view()
  }

  /** @throws AntiphonError CORRUPT */
  decode(bytes: Uint8Array): ZnodeResult {
    const reader = this.#reader
    reader.open(bytes)
    const zxid = reader.zxid()
    const result: ZnodeResult = { zxid, ...decodeOutcome(reader) }
    reader.finish()
    reader.close()
    return result
  }

  #encodePart(part: OperationResult): void {
    const writer = this.#writer
    switch (part.type) {
      case 'create':
        writer.u8(CREATED)
        writer.text(part.path)
        encodeStat(writer, part.stat)
        return
      case 'setData':
      case 'setAcl':
        writer.u8(part.type === 'setData' ? DATA_SET : ACL_SET)
        encodeStat(writer, part.stat)
        return
      case 'delete':
      case 'check':
        writer.u8(part.type === 'delete' ? DELETED : CHECKED)
        return
      case 'error':
        writer.u8(ERROR)
        writer.i16(ZNODE_ERRORS[part.error])
    }
  }
}

type Outcome =
  | OperationResult
  | { type: 'multi'; results: OperationResult[] }
  | { type: 'session'; session: bigint; password: Uint8Array; timeoutMs: number }
  | { type: 'done' }

function decodeOutcome(reader: ByteReader): Outcome {
  const type = reader.u8()
  switch (type) {
    case MULTI: {
      const results: OperationResult[] = []
      for (let rest = reader.countOf(1); rest > 0; rest--) results.push(decodePart(reader, reader.u8()))
      return { type: 'multi', results }
    }
    case SESSION: {
      const session = reader.session()
      const password = reader.dataCopy()
      if (password === null) throw corrupt('a session has no password')
      return { type: 'session', session, password, timeoutMs: reader.u32() }
    }
    case DONE:
      return { type: 'done' }
    default:
      return decodePart(reader, type)
  }
}

function decodePart(reader: ByteReader, type: number): OperationResult {
  switch (type) {
    case CREATED:
      return { type: 'create', path: reader.text(), stat: decodeStat(reader) }
    case DATA_SET:
      return { type: 'setData', stat: decodeStat(reader) }
    case ACL_SET:
      return { type: 'setAcl', stat: decodeStat(reader) }
    case DELETED:
      return { type: 'delete' }
    case CHECKED:
      return { type: 'check' }
    case ERROR:
      return { type: 'error', error: errorOfNumber(reader.i16()) }
    default:
      throw corrupt(`a result is of the unknown type ${type}`)
  }
}

function encodeStat(writer: ByteWriter, stat: Stat): void {
  writer.safe(stat.czxid)
  writer.safe(stat.mzxid)
  writer.safe(stat.pzxid)
  writer.safe(stat.ctime)
  writer.safe(stat.mtime)
  writer.i32(stat.version)
  writer.i32(stat.cversion)
  writer.i32(stat.aversion)
  writer.session(stat.ephemeralOwner)
  writer.u32(stat.dataLength)
  writer.u32(stat.numChildren)
}

function decodeStat(reader: ByteReader): Stat {
  return {
    czxid: reader.zxid(),
    mzxid: reader.zxid(),
    pzxid: reader.zxid(),
    ctime: reader.millis(),
    mtime: reader.millis(),
    version: reader.i32(),
    cversion: reader.i32(),
    aversion: reader.i32(),
    ephemeralOwner: reader.session(),
    dataLength: reader.u32(),
    numChildren: reader.u32(),
  }
}
