import type { CommittedBatch, Millis, PeerId, PrimaryContext, Proposer, Zxid } from '@antiphon/ports'
import { ZERO } from '@antiphon/ports'
import { type AppliedState, ChangeApplier, type SessionWitness } from './apply.ts'
import { AccessControl } from './auth/access-control.ts'
import { CONFIG_PATH } from './changes.ts'
import { configText } from './config-text.ts'
import { NodeTree } from './data-tree.ts'
import type { SessionInfo, SessionListener, ZnodeTree, ZnodeTreeOptions, ZooKeeperFile } from './machine-types.ts'
import { resolveOptions, VERSION } from './options.ts'
import { Overlay } from './overlay.ts'
import { Preparer } from './prepare/preparer.ts'
import { NodeReader } from './reader.ts'
import { Reaper } from './reaper.ts'
import { Requests } from './requests.ts'
import { Results } from './results.ts'
import { DUE, SessionExpiry, UNARMED } from './sessions/expiry.ts'
import { type Session, SessionTable, SessionTableDecoder } from './sessions/session-table.ts'
import { sessionsOfNote, Touches } from './sessions/touches.ts'
import { TreeDecoder } from './snapshot/decoder.ts'
import { snapshotChunks } from './snapshot/encoder.ts'
import { zooKeeperSnapshotChunks } from './snapshot/zookeeper-export.ts'
import type { Acl, Identity, SessionId, ZnodeRequest, ZnodeResult } from './types.ts'
import { WatchManager } from './watches/watch-manager.ts'

/** What is below `/zookeeper` counts differently from the same elsewhere. */
const SYSTEM_FACTOR = 0x9e37_79b9_7f4a_7c15n
/** Of sessions that expire in one tick: what takes long is spread over several. */
const CLOSES_PER_TICK = 256
const EPHEMERALS_PER_TICK = 10_000

/**
 * ZooKeeper's data model as a state machine.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function znodeTree(options: ZnodeTreeOptions = {}): ZnodeTree {
  return znodeTreeOn(new NodeTree(), options)
}

/** With another first state than the empty tree. Nothing outside of a replica's history may make one: for what the empty tree reaches in no time of ours. */
export function znodeTreeOn(tree: NodeTree, options: ZnodeTreeOptions = {}): ZnodeTree {
  return new ZnodeTreeMachine(tree, resolveOptions(options))
}

class ZnodeTreeMachine implements ZnodeTree, SessionWitness {
  readonly name: string
  readonly version: number = VERSION
  readonly options: Required<ZnodeTreeOptions>
  readonly reader: NodeReader
  readonly watches: WatchManager
  readonly #tree: NodeTree
  readonly #sessions: SessionTable = new SessionTable()
  readonly #access: AccessControl
  readonly #requests: Requests
  readonly #results: Results = new Results()
  readonly #applier: ChangeApplier
  readonly #listeners = new Set<SessionListener>()
  readonly #touches: Touches = new Touches()
  #proposer: Proposer<ZnodeRequest, ZnodeResult> | null = null
  /** What `/zookeeper/config` is to hold; null: whatever it holds. */
  #config: Uint8Array | null

  // On the primary
  readonly #overlay: Overlay
  readonly #preparer: Preparer
  readonly #expiry: SessionExpiry
  readonly #reaper: Reaper
  /** Expired, and not asked to be closed yet. */
  #due: Session[] = []
  #isConfigAsked = false

  constructor(tree: NodeTree, options: Required<ZnodeTreeOptions>) {
    this.#tree = tree
    this.name = options.name
    this.options = options
    this.#access = new AccessControl(options)
    this.reader = new NodeReader(this.#tree, (acl, perms, identities) => this.#access.permits(acl, perms, identities), ZERO)
    this.watches = new WatchManager(new WatchedState(this.#tree, this.reader))
    this.#requests = new Requests(options)
    this.#config = options.config === null ? null : new TextEncoder().encode(options.config)
    const state: AppliedState = { tree: this.#tree, sessions: this.#sessions, watches: this.watches }
    this.#applier = new ChangeApplier(state, this)
    this.#overlay = new Overlay(this.#tree, this.#sessions)
    this.#preparer = new Preparer(options, this.#tree, this.#overlay, this.#access, (warning) => this.#proposer?.trouble?.(warning))
    this.#expiry = new SessionExpiry(options.sessionTimeoutMsMin)
    this.#reaper = new Reaper(this.#tree, options)
  }

  session(id: SessionId): SessionInfo | null {
    return this.#sessions.info(id)
  }

  touch(session: SessionId): void {
    this.#touches.touch(session)
  }

  hold(session: SessionId): () => void {
    return this.#touches.hold(session)
  }

  listen(listener: SessionListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  authenticate(scheme: string, credential: Uint8Array): readonly Identity[] {
    return this.#access.authenticate(scheme, credential)
  }

  whoAmI(identities: readonly Identity[]): readonly Identity[] {
    return this.#access.whoAmI(identities)
  }

  permits(acl: readonly Acl[], perms: number, identities: readonly Identity[]): boolean {
    return this.#access.permits(acl, perms, identities)
  }

  attach(proposer: Proposer<ZnodeRequest, ZnodeResult>): void {
    this.#proposer = proposer
    const ensemble = proposer.ensemble?.()
    if (this.options.config === null && ensemble !== undefined) this.#config = new TextEncoder().encode(configText(ensemble))
  }

  // The port: codecs

  encodeRequest(request: ZnodeRequest): Uint8Array {
    return this.#requests.encode(request)
  }

  decodeRequest(bytes: Uint8Array): ZnodeRequest {
    return this.#requests.decode(bytes)
  }

  encodeResult(result: ZnodeResult): Uint8Array {
    return this.#results.encode(result)
  }

  decodeResult(bytes: Uint8Array): ZnodeResult {
    return this.#results.decode(bytes)
  }

  // The port: on the primary

  leading({ monotonic, tickMs }: PrimaryContext): void {
    this.#forget()
    this.#expiry.begin(this.#sessions.values(), monotonic, tickMs)
    this.#reaper.begin(monotonic)
  }

  abandon(): void {
    this.#forget()
    this.#expiry.end()
  }

  prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    const change = this.#preparer.prepare(request, context)
    const { session } = this.#preparer
    if (session !== 0n) this.#heardOf(session, context.monotonic)
    return change
  }

  unprepare(): void {
    this.#overlay.takeBack()
  }

  tick(context: PrimaryContext): readonly ZnodeRequest[] {
    const requests: ZnodeRequest[] = []
    this.#due.push(...this.#expiry.advance(context.monotonic))
    this.#closeDue(requests)
    for (const path of this.#reaper.tick(context)) requests.push({ kind: 'reap', path })
    const config = this.#config
    if (!this.#isConfigAsked && config !== null && !isEqual(config, this.reader.data(CONFIG_PATH) ?? new Uint8Array())) {
      this.#isConfigAsked = true
      requests.push({ kind: 'setConfig', data: config })
    }
    return requests
  }

  note(): Uint8Array | null {
    const note = this.#touches.note()
    for (const listener of this.#listeners) listener.noted?.(this.#touches.isRoundOver)
    return note
  }

  heard(_from: PeerId, note: Uint8Array, monotonic: Millis): void {
    for (const id of sessionsOfNote(note)) this.#heardOf(id, monotonic)
  }

  // The port: on every replica

  apply(batch: CommittedBatch): readonly ZnodeResult[] {
    const { length, bytes } = batch
    const results: (ZnodeResult | undefined)[] = []
    if (length === 0) return []
    const overlay = this.#overlay
    for (let i = 0; i < length; i++) {
      const zxid = batch.zxid(i)
      const hint = overlay.next
      results.push(this.#applier.apply(bytes, batch.start(i), batch.end(i), zxid, batch.time(i), batch.needsResult(i), hint))
      overlay.applied(zxid)
    }
    this.#applier.close()
    const last = batch.zxid(length - 1)
    this.reader.zxid = last
    for (const listener of this.#listeners) listener.applied(last)
    return results as ZnodeResult[]
  }

  snapshot(): Iterable<Uint8Array> {
    this.#tree.dropUnusedAcls()
    return snapshotChunks(this.#tree.view(), this.#sessions.encode())
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const sessions = new SessionTableDecoder()
    const decoder = new TreeDecoder((piece) => sessions.push(piece))
    for await (const chunk of chunks) decoder.push(chunk)
    const tree = decoder.finish()
    const table = sessions.finish()
    const since = this.reader.zxid
    this.abandon()
    this.#tree.replaceWith(tree)
    this.#sessions.replaceWith(table)
    this.reader.zxid = zxid
    this.watches.restored(since)
    for (const listener of this.#listeners) listener.restored(zxid)
  }

  digest(): bigint {
    return BigInt.asUintN(64, this.#tree.digest() + SYSTEM_FACTOR * this.#tree.systemDigest()) ^ this.#sessions.digest()
  }

  treeDigest(): bigint {
    return this.#tree.digest()
  }

  zooKeeperSnapshot(): ZooKeeperFile {
    const { zxid } = this.reader
    const sessions = Array.from(this.#sessions.values(), ({ id, timeoutMs }) => ({ id, timeoutMs }))
    return { name: `snapshot.${zxid.toString(16)}`, zxid, chunks: zooKeeperSnapshotChunks(this.#tree.view(), { zxid, sessions }) }
  }

  // What becomes of sessions, in the midst of `apply`

  opened(session: Session): void {
    this.#expiry.arm(session)
  }

  attached(session: Session, zxid: Zxid): void {
    this.#expiry.arm(session)
    for (const listener of this.#listeners) listener.moved(session.id, zxid)
  }

  closed(session: Session, isExpired: boolean, zxid: Zxid): void {
    this.#expiry.remove(session)
    for (const listener of this.#listeners) listener.closed(session.id, isExpired ? 'expired' : 'closed', zxid)
  }

  configured(): void {
    this.#isConfigAsked = false
  }

  // Inside

  /** What was prepared or asked for in a reign, and is not applied. */
  #forget(): void {
    this.#overlay.reset()
    this.#due = []
    this.#isConfigAsked = false
  }

  #heardOf(id: SessionId, monotonic: Millis): void {
    const session = this.#sessions.get(id)
    if (session !== undefined) this.#expiry.touch(session, monotonic)
  }

  #closeDue(requests: ZnodeRequest[]): void {
    let ephemerals = 0
    let taken = 0
    while (taken < this.#due.length && taken < CLOSES_PER_TICK && ephemerals < EPHEMERALS_PER_TICK) {
      const session = this.#due[taken++]!
      const { id } = session
      // Closed meanwhile, taken over, or heard of.
      if (this.#sessions.get(id) !== session || session.bucket !== DUE) continue
      session.bucket = UNARMED
      ephemerals += this.#tree.ephemerals(id).length
      requests.push({ kind: 'closeSession', session: id, attachment: null })
    }
    if (taken > 0) this.#due = this.#due.slice(taken)
  }
}

/** What watches look at when they catch up. */
class WatchedState {
  readonly tree: NodeTree
  readonly #reader: NodeReader

  constructor(tree: NodeTree, reader: NodeReader) {
    this.tree = tree
    this.#reader = reader
  }

  get zxid(): Zxid {
    return this.#reader.zxid
  }
}

function isEqual(bytes: Uint8Array, other: Uint8Array): boolean {
  return bytes.length === other.length && bytes.every((byte, index) => byte === other[index])
}
