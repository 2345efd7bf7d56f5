import { AntiphonError, corrupt, type Millis, type Zxid } from '@antiphon/ports'
import {
  ATTACH,
  CHECK,
  CLOSE,
  CONFIG_PATH,
  CONFIG_VERSION,
  CREATE,
  DELETE,
  FAILED,
  MULTI,
  MULTI_FAILED,
  OPEN_SESSION,
  PART_BEFORE,
  PART_BEHIND,
  PART_FAILED,
  REAP,
  SET_ACL,
  SET_CONFIG,
  SET_DATA,
} from './changes.ts'
import { ByteReader } from './codec/reader.ts'
import { type DataTree, EPHEMERAL, NO_NODE, type NodeIndex, type NodeKind, PERSISTENT, TTL } from './data-tree-types.ts'
import { errorOfNumber } from './results.ts'
import { passwordOf } from './sessions/session-id.ts'
import type { Session, SessionTable } from './sessions/session-table.ts'
import type { OperationResult, SessionId, ZnodeResult } from './types.ts'
import type { WatchManager } from './watches/watch-manager.ts'

/** A path, and where it was found as of `removals` of the tree: there it still is, while that is the same. */
export interface PathHint {
  readonly path: string
  readonly node: NodeIndex
  readonly removals: number
}

/** Who hears what becomes of sessions, in the midst of the changes. */
export interface SessionWitness {
  opened(session: Session): void
  attached(session: Session, zxid: Zxid): void
  closed(session: Session, isExpired: boolean, zxid: Zxid): void
  configured(): void
}

/** The state that changes are applied to. Replaced as a whole by a snapshot. */
export interface AppliedState {
  readonly tree: DataTree
  readonly sessions: SessionTable
  readonly watches: WatchManager
}

const KINDS = TTL + 1

/** Applies changes, which are final, to a state: the same on every replica. @throws AntiphonError CORRUPT, DIVERGED of a change that does not fit: the replica stops */
export class ChangeApplier {
  readonly #state: AppliedState
  readonly #witness: SessionWitness
  readonly #reader = new ByteReader()
  /** Used for every node that is made. */
  readonly #node = {
    path: '',
    kind: PERSISTENT as NodeKind,
    owner: 0n,
    ttlMs: 0,
    acl: 0,
    bytes: this.#reader.bytes,
    start: 0,
    end: 0,
  }
  #zxid = 0 as Zxid
  #time: Millis = 0
  #isResultDue = false
  #hint: PathHint | null = null
  /** Where the hint's node is, of the path that was read last; NO_NODE: it has to be looked up. */
  #hinted: NodeIndex = NO_NODE

  constructor(state: AppliedState, witness: SessionWitness) {
    this.#state = state
    this.#witness = witness
  }

  /** The change that lies in `bytes` from `start` to `end`; `hint`: what it probably begins with. Without `isResultDue` there may be no result. */
  apply(bytes: Uint8Array, start: number, end: number, zxid: Zxid, time: Millis, isResultDue: boolean, hint: PathHint | null): ZnodeResult | undefined {
    const reader = this.#reader
    reader.open(bytes, start, end)
    this.#zxid = zxid
    this.#time = time
    this.#isResultDue = isResultDue
    this.#hint = hint
    const result = this.#dispatch(reader.u8())
    reader.finish()
    return result
  }

  /** Forgets the memory of the last change. */
  close(): void {
    this.#reader.close()
    this.#node.bytes = this.#reader.bytes
  }

  #dispatch(kind: number): ZnodeResult | undefined {
    const zxid = this.#zxid
    switch (kind) {
      case FAILED:
        return { zxid, type: 'error', error: errorOfNumber(this.#reader.i16()) }
      case MULTI:
        return this.#multi()
      case MULTI_FAILED:
        return this.#failedMulti()
      case OPEN_SESSION:
        return this.#openSession()
      case ATTACH:
        return this.#attach()
      case CLOSE:
        return this.#closeSession()
      case REAP:
        return this.#reap()
      case SET_CONFIG:
        return this.#setConfig()
      default: {
        const result = this.#operation(kind)
        return result === undefined ? undefined : withZxid(result, zxid)
      }
    }
  }

  #operation(kind: number): OperationResult | undefined {
    switch (kind) {
      case CREATE:
        return this.#create()
      case DELETE: {
        this.#delete(this.#path())
        return this.#isResultDue ? { type: 'delete' } : undefined
      }
      case SET_DATA:
        return this.#setData()
      case SET_ACL:
        return this.#setAcl()
      case CHECK:
        return this.#isResultDue ? { type: 'check' } : undefined
      default:
        throw corrupt(`a change is of the unknown kind ${kind}`)
    }
  }

  #multi(): ZnodeResult | undefined {
    const reader = this.#reader
    const results: OperationResult[] = []
    for (let rest = reader.countOf(1); rest > 0; rest--) {
      const result = this.#operation(reader.u8())
      if (result !== undefined) results.push(result)
    }
    return this.#isResultDue ? { zxid: this.#zxid, type: 'multi', results } : undefined
  }

  #failedMulti(): ZnodeResult | undefined {
    const reader = this.#reader
    const error = errorOfNumber(reader.i16())
    const results: OperationResult[] = []
    let expected = PART_BEFORE
    for (let rest = reader.countOf(1); rest > 0; rest--) {
      const part = reader.u8()
      if (expected === PART_BEFORE && part === PART_FAILED) expected = PART_BEHIND
      else if (part !== expected) throw corrupt('the parts of a failed multi are out of order')
      if (this.#isResultDue) results.push({ type: 'error', error: part === PART_BEFORE ? 'OK' : part === PART_FAILED ? error : 'RUNTIME_INCONSISTENCY' })
    }
    if (expected === PART_BEFORE) throw corrupt('no part of a failed multi has failed')
    if (!this.#isResultDue) return undefined
    return { zxid: this.#zxid, type: 'multi', results }
  }

  #create(): OperationResult | undefined {
    const reader = this.#reader
    const { tree, watches } = this.#state
    const node = this.#node
    node.kind = reader.u8Below(KINDS) as NodeKind
    node.path = this.#path()
    this.#data()
    const acl = reader.acl()
    node.owner = node.kind === EPHEMERAL ? reader.session() : 0n
    node.ttlMs = node.kind === TTL ? reader.millis() : 0
    node.acl = tree.intern(acl)
    const index = tree.create(node, this.#zxid, this.#time)
    if (watches.size > 0) watches.created(node.path, acl, this.#aclOf(tree.parent(index)), this.#zxid)
    return this.#isResultDue ? { type: 'create', path: node.path, stat: tree.stat(index) } : undefined
  }

  #setData(): OperationResult | undefined {
    const path = this.#path()
    const version = this.#reader.i32()
    this.#data()
    const index = this.#write(path, version)
    return this.#isResultDue ? { type: 'setData', stat: this.#state.tree.stat(index) } : undefined
  }

  #setAcl(): OperationResult | undefined {
    const { tree } = this.#state
    const index = this.#find(this.#path())
    const aversion = this.#reader.i32()
    tree.setAcl(index, tree.intern(this.#reader.acl()), aversion)
    return this.#isResultDue ? { type: 'setAcl', stat: tree.stat(index) } : undefined
  }

  #setConfig(): ZnodeResult | undefined {
    this.#data()
    this.#hinted = NO_NODE
    this.#write(CONFIG_PATH, CONFIG_VERSION)
    this.#witness.configured()
    return this.#done()
  }

  #reap(): ZnodeResult | undefined {
    this.#delete(this.#path())
    return this.#done()
  }

  #openSession(): ZnodeResult | undefined {
    const reader = this.#reader
    const [id, peer, timeoutMs] = [reader.session(), reader.u8(), reader.u32()]
    const { sessions } = this.#state
    if (sessions.get(id) !== undefined) throw diverged(`there is a session 0x${id.toString(16)} already`)
    this.#witness.opened(sessions.open(id, peer, timeoutMs, this.#zxid))
    return this.#session(id, timeoutMs)
  }

  #attach(): ZnodeResult | undefined {
    const reader = this.#reader
    const [id, peer, timeoutMs] = [reader.session(), reader.u8(), reader.u32()]
    const session = this.#sessionOf(id)
    this.#state.sessions.attach(session, peer, timeoutMs, this.#zxid)
    this.#witness.attached(session, this.#zxid)
    return this.#session(id, timeoutMs)
  }

  /** ZooKeeper's order is that of a hash set; here it is that of the paths. */
  #closeSession(): ZnodeResult | undefined {
    const id = this.#reader.session()
    const isExpired = this.#reader.u8Below(2) === 1
    const { tree, sessions } = this.#state
    const session = this.#sessionOf(id)
    sessions.close(session)
    this.#hinted = NO_NODE
    for (const path of tree.ephemerals(id)) this.#delete(path)
    this.#witness.closed(session, isExpired, this.#zxid)
    return this.#done()
  }

  #delete(path: string): void {
    const { tree, watches } = this.#state
    const index = this.#find(path)
    if (watches.size === 0) return tree.delete(index, this.#zxid)
    const acl = this.#aclOf(index)
    const parent = tree.parent(index)
    tree.delete(index, this.#zxid)
    watches.deleted(path, acl, this.#aclOf(parent), this.#zxid)
  }

  /** Sets what `#data` has found. */
  #write(path: string, version: number): NodeIndex {
    const { tree, watches } = this.#state
    const { bytes, start, end } = this.#node
    const index = this.#find(path)
    tree.setData(index, bytes, start, end, version, this.#zxid, this.#time)
    if (watches.size > 0) watches.dataChanged(path, this.#aclOf(index), this.#zxid)
    return index
  }

  #path(): string {
    const hint = this.#hint
    if (hint === null) {
      this.#hinted = NO_NODE
      return this.#reader.text()
    }
    this.#hint = null
    const path = this.#reader.text(hint.path)
    this.#hinted = path === hint.path && hint.removals === this.#state.tree.removals ? hint.node : NO_NODE
    return path
  }

  #data(): void {
    const reader = this.#reader
    const node = this.#node
    const length = reader.data()
    node.bytes = reader.bytes
    node.end = reader.at
    node.start = length < 0 ? -1 : reader.at - length
  }

  #find(path: string): NodeIndex {
    const index = this.#hinted === NO_NODE ? this.#state.tree.find(path) : this.#hinted
    if (index === NO_NODE) throw diverged(`there is no node ${path}`)
    return index
  }

  #aclOf(index: NodeIndex): ReturnType<DataTree['aclOf']> {
    const { tree } = this.#state
    return tree.aclOf(tree.acl(index))
  }

  #sessionOf(id: SessionId): Session {
    const session = this.#state.sessions.get(id)
    if (session === undefined) throw diverged(`there is no session 0x${id.toString(16)}`)
    return session
  }

  #session(id: SessionId, timeoutMs: Millis): ZnodeResult | undefined {
    return this.#isResultDue ? { zxid: this.#zxid, type: 'session', session: id, password: passwordOf(id), timeoutMs } : undefined
  }

  #done(): ZnodeResult | undefined {
    return this.#isResultDue ? { zxid: this.#zxid, type: 'done' } : undefined
  }
}

/** Written out: to spread an object behind another field costs more than the change itself. */
function withZxid(result: OperationResult, zxid: Zxid): ZnodeResult {
  switch (result.type) {
    case 'create':
      return { zxid, type: result.type, path: result.path, stat: result.stat }
    case 'setData':
    case 'setAcl':
      return { zxid, type: result.type, stat: result.stat }
    case 'error':
      return { zxid, type: result.type, error: result.error }
    default:
      return { zxid, type: result.type }
  }
}

function diverged(message: string): AntiphonError {
  return new AntiphonError('DIVERGED', `a change does not fit this replica's tree: ${message}`, {
    remedy: 'Keep the folder for inspection, wipe this replica and let it be readmitted; report the event.',
  })
}
