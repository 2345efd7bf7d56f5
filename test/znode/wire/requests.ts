import type { Acl } from '@antiphon/znode-tree'
import { CREATE_MODES } from '@antiphon/znode-tree'
import type { CreatePart, Data, Part, Step, WatchLists } from '../program.ts'
import { WATCH_LISTS, WATCHER_TYPES } from '../program.ts'
import type { PartReply, Reply, SeenStat } from '../transcript.ts'
import type { JuteReader } from './jute.ts'
import { JuteWriter } from './jute.ts'

/** A request, and how its reply's body is read. */
export interface Exchange {
  readonly type: number
  readonly body: Buffer
  read(body: JuteReader): Omit<Reply, 'code'>
}

const bytesOf = (data: Data): Buffer | null => (data === null ? null : Buffer.from(data, 'latin1'))
const dataOf = (bytes: Buffer | null): Data => bytes?.toString('latin1') ?? null

function writeAcl(to: JuteWriter, acl: readonly Acl[]): void {
  to.vector(acl, ({ perms, scheme, id }) => to.int(perms).string(scheme).string(id))
}

function readStat(from: JuteReader): SeenStat {
  const [czxid, mzxid, ctime, mtime] = [from.small(), from.small(), from.small(), from.small()]
  const [version, cversion, aversion] = [from.int(), from.int(), from.int()]
  const ephemeralOwner = BigInt.asUintN(64, from.long())
  const [dataLength, numChildren] = [from.int(), from.int()]
  return { czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid: from.small() }
}

function createType({ mode, stat }: CreatePart): number {
  if (mode === 'container') return 19
  if (mode.endsWith('with-ttl')) return 21
  return stat ? 15 : 1
}

/** The operation of a part, and its body. `at`: where a program's path lies on the server. */
function writePart(to: JuteWriter, part: Part, at: (path: string) => string): void {
  to.string(at(part.path))
  switch (part.op) {
    case 'create':
      to.buffer(bytesOf(part.data))
      writeAcl(to, part.acl)
      to.int(CREATE_MODES.indexOf(part.mode))
      if (createType(part) === 21) to.long(BigInt(part.ttlMs))
      return
    case 'setData':
      to.buffer(bytesOf(part.data)).int(part.version)
      return
    default:
      to.int(part.version)
  }
}

const TYPES = { delete: 2, setData: 5, check: 13 } as const
const typeOf = (part: Part): number => (part.op === 'create' ? createType(part) : TYPES[part.op])

function readParts(from: JuteReader, back: (path: string) => string): PartReply[] {
  const parts: PartReply[] = []
  for (;;) {
    const type = from.int()
    const done = from.bool()
    from.int()
    if (done) return parts
    if (type === -1) parts.push({ code: from.int() })
    else if (type === 1) parts.push({ code: 0, path: back(from.string()) })
    else if (type === 15) parts.push({ code: 0, path: back(from.string()), stat: readStat(from) })
    else if (type === 5) parts.push({ code: 0, stat: readStat(from) })
    else if (type === 4) parts.push({ code: 0, data: dataOf(from.buffer()), stat: readStat(from) })
    else if (type === 8) parts.push({ code: 0, children: from.vector(() => from.string()) })
    else if (type === 2 || type === 13) parts.push({ code: 0 })
    else throw new Error(`a multi's result has type ${type}`)
  }
}

/** A request without watches that stay has the older form. */
function isAsked({ persistent, recursive }: WatchLists, list: keyof WatchLists): boolean {
  return (list !== 'persistent' && list !== 'recursive') || persistent.length > 0 || recursive.length > 0
}

/** Null of a step that is no request. `since`: of a setWatches. */
export function exchangeOf(step: Step, at: (path: string) => string, back: (path: string) => string, since: number): Exchange | null {
  const to = new JuteWriter()
  const asked = (type: number, read: Exchange['read'] = () => ({})): Exchange => ({ type, body: to.bytes(), read })
  switch (step.op) {
    case 'create':
      writePart(to, step, at)
      return asked(createType(step), (from) => {
        const path = back(from.string())
        return createType(step) === 1 ? { path } : { path, stat: readStat(from) }
      })
    case 'delete':
      writePart(to, step, at)
      return asked(2)
    case 'setData':
      writePart(to, step, at)
      return asked(5, (from) => ({ stat: readStat(from) }))
    case 'setAcl':
      writeAcl(to.string(at(step.path)), step.acl)
      to.int(step.version)
      return asked(7, (from) => ({ stat: readStat(from) }))
    case 'multi':
      for (const part of step.parts) {
        to.int(typeOf(part)).bool(false).int(-1)
        writePart(to, part, at)
      }
      to.int(-1).bool(true).int(-1)
      return asked(14, (from) => ({ parts: readParts(from, back) }))
    case 'exists':
      to.string(at(step.path)).bool(step.watch)
      return asked(3, (from) => ({ stat: readStat(from) }))
    case 'getData':
      to.string(at(step.path)).bool(step.watch)
      return asked(4, (from) => ({ data: dataOf(from.buffer()), stat: readStat(from) }))
    case 'children':
      to.string(at(step.path)).bool(step.watch)
      return asked(step.stat ? 12 : 8, (from) => {
        const children = from.vector(() => from.string())
        return step.stat ? { children, stat: readStat(from) } : { children }
      })
    case 'getAcl':
      to.string(at(step.path))
      return asked(6, (from) => ({ acl: from.vector(() => ({ perms: from.int(), scheme: from.string(), id: from.string() })), stat: readStat(from) }))
    case 'countDescendants':
      to.string(at(step.path))
      return asked(104, (from) => ({ count: from.int() }))
    case 'sync':
      to.string(at(step.path))
      return asked(9, (from) => ({ path: back(from.string()) }))
    case 'ephemerals':
      to.string(step.prefix === null ? null : at(step.prefix))
      return asked(103, (from) => ({ paths: from.vector(() => back(from.string())) }))
    case 'multiRead':
      for (const { op, path } of step.parts)
        to.int(op === 'getData' ? 4 : 8)
          .bool(false)
          .int(-1)
          .string(at(path))
          .bool(false)
      to.int(-1).bool(true).int(-1)
      return asked(22, (from) => ({ parts: readParts(from, back) }))
    case 'whoAmI':
      return asked(107, (from) => ({ users: from.vector(() => `${from.string()}:${from.string()}`) }))
    case 'addWatch':
      to.string(at(step.path)).int(step.recursive ? 1 : 0)
      return asked(106)
    case 'removeWatches':
    case 'checkWatches':
      to.string(at(step.path)).int(WATCHER_TYPES[step.type])
      return asked(step.op === 'removeWatches' ? 18 : 17)
    case 'setWatches':
      to.long(BigInt(since))
      for (const list of WATCH_LISTS) if (isAsked(step, list)) to.vector(step[list], (path) => to.string(at(path)))
      return asked(isAsked(step, 'persistent') ? 105 : 101)
    case 'auth':
      to.int(0).string('digest').buffer(Buffer.from(step.credential, 'utf8'))
      return asked(100)
    case 'close':
    case 'expire':
      return asked(-11)
    default:
      return null
  }
}
