import { AntiphonError, invalidArgument, type Millis } from '@antiphon/ports'
import {
  type Acl,
  type Identity,
  type SessionId,
  type Stat,
  type WatchEvent,
  type WatchKind,
  type WriteOperation,
  type ZnodeErrorCode,
  type ZnodeResult,
  znodeError,
} from '@antiphon/znode-tree'
import { createOperation, expectAcl, expectData, unexpected, versionOf } from './operations.ts'
import type { Root } from './paths.ts'
import type { SessionCore } from './session-core.ts'
import { TreeTransaction } from './transaction.ts'
import { ZnodeValue } from './typed-node.ts'
import type {
  CallOptions,
  Codec,
  Created,
  CreateOptions,
  Data,
  LocalReads,
  NodeData,
  ReadOptions,
  ReadRequest,
  ReadResult,
  Session,
  SessionEvents,
  SessionState,
  Transaction,
  TypedNode,
  VersionOptions,
  Watch,
  WatchingReadOptions,
  WatchOptions,
} from './types.ts'
import { SessionWatch } from './watch.ts'

const WATCH_KINDS: readonly WatchKind[] = ['data', 'children', 'persistent', 'recursive']
const encoder = new TextEncoder()

/** A session on a replica in this process, as seen below one root. */
export class ReplicaSession implements Session {
  readonly local: LocalReads
  readonly #core: SessionCore
  readonly #root: Root

  constructor(core: SessionCore, root: Root) {
    this.#core = core
    this.#root = root
    const { reader } = core.tree
    const path = (given: string): string => {
      core.expectSound()
      return root.at(given)
    }
    const local: LocalReads = {
      exists: (given) => reader.exists(path(given), core.identities),
      getData: (given) => reader.get(path(given), core.identities),
      data: (given) => reader.data(path(given), core.identities),
      getChildren: (given) => reader.children(path(given), core.identities),
    }
    this.local =
      root.prefix === ''
        ? local
        : {
            exists: (given) => saidOf(given, () => local.exists(given)),
            getData: (given) => saidOf(given, () => local.getData(given)),
            data: (given) => saidOf(given, () => local.data(given)),
            getChildren: (given) => saidOf(given, () => local.getChildren(given)),
          }
  }

  get id(): SessionId {
    return this.#core.id
  }
  get password(): Uint8Array {
    return this.#core.password.slice()
  }
  get timeoutMs(): Millis {
    return this.#core.timeoutMs
  }
  get state(): SessionState {
    return this.#core.state
  }

  // Writes: each takes its place in the order before it returns

  create(path: string, data: Data = null, options: CreateOptions = {}): Promise<Created> {
    return this.#attempt(() => this.#write(createOperation(this.#root.inForCreate(path, options.mode), data, options), path, options)).then((result) => {
      if (result.type !== 'create') throw unexpected(result)
      return { path: this.#root.out(result.path), stat: result.stat }
    })
  }

  delete(path: string, options: VersionOptions = {}): Promise<void> {
    return this.#attempt(() => this.#write({ type: 'delete', path: this.#root.in(path), version: versionOf(options) }, path, options)).then(() => undefined)
  }

  setData(path: string, data: Data, options: VersionOptions = {}): Promise<Stat> {
    return this.#attempt(() =>
      this.#write({ type: 'setData', path: this.#root.in(path), data: expectData(data), version: versionOf(options) }, path, options),
    ).then(statOf)
  }

  setAcl(path: string, acl: readonly Acl[], options: VersionOptions = {}): Promise<Stat> {
    return this.#attempt(() =>
      this.#write({ type: 'setAcl', path: this.#root.in(path), acl: expectAcl(acl), version: versionOf(options) }, path, options),
    ).then(statOf)
  }

  transaction(): Transaction {
    return new TreeTransaction(this.#root, (operation, options) => this.#core.write(operation, options).then((result) => this.#core.behindEvents(result)))
  }

  // Reads

  async exists(path: string, { watch, ...options }: WatchingReadOptions = {}): Promise<Stat | null> {
    const target = this.#root.in(path)
    await this.#core.read(options)
    const stat = saidOf(path, () => this.#core.tree.reader.exists(target, this.#core.identities))
    this.#watchOnce(path, 'data', watch)
    return stat
  }

  async getData(path: string, { watch, ...options }: WatchingReadOptions = {}): Promise<NodeData> {
    const target = this.#root.in(path)
    await this.#core.read(options)
    const { data, stat } = saidOf(path, () => this.#core.tree.reader.get(target, this.#core.identities))
    this.#watchOnce(path, 'data', watch)
    return { data: data === null ? null : data.slice(), stat }
  }

  async getChildren(path: string, { watch, ...options }: WatchingReadOptions = {}): Promise<{ children: readonly string[]; stat: Stat }> {
    const target = this.#root.in(path)
    await this.#core.read(options)
    const { reader } = this.#core.tree
    const children = saidOf(path, () => reader.children(target, this.#core.identities))
    const stat = reader.exists(target, this.#core.identities)
    if (stat === null) throw znodeError('NO_NODE', path)
    this.#watchOnce(path, 'children', watch)
    return { children, stat }
  }

  async getAllChildrenNumber(path: string, options: ReadOptions = {}): Promise<number> {
    const target = this.#root.in(path)
    await this.#core.read(options)
    return saidOf(path, () => this.#core.tree.reader.countDescendants(target, this.#core.identities))
  }

  async getEphemerals(prefix = '/', options: ReadOptions = {}): Promise<readonly string[]> {
    const target = prefix === '/' ? this.#root.prefix : this.#root.at(prefix)
    await this.#core.read(options)
    const paths = this.#core.tree.reader.ephemerals(this.id, target)
    return paths.filter((path) => this.#root.holds(path)).map((path) => this.#root.out(path))
  }

  async getAcl(path: string, options: ReadOptions = {}): Promise<{ acl: readonly Acl[]; stat: Stat }> {
    const target = this.#root.in(path)
    await this.#core.read(options)
    return saidOf(path, () => this.#core.tree.reader.acl(target, this.#core.identities))
  }

  async multiRead(reads: readonly ReadRequest[], options: ReadOptions = {}): Promise<readonly ReadResult[]> {
    if (!isReads(reads)) throw invalidArgument('the reads are an array of { getData: path } and { getChildren: path }')
    const targets = reads.map((read) => ('getData' in read ? { data: this.#root.in(read.getData) } : { children: this.#root.in(read.getChildren) }))
    await this.#core.read(options)
    return targets.map((target, index) => {
      const read = reads[index]!
      return this.#readOne(target, 'getData' in read ? read.getData : read.getChildren)
    })
  }

  async sync(options: CallOptions = {}): Promise<void> {
    await this.#core.read({ ...options, level: 'linearizable' })
  }

  // Watches

  watch(path: string, first?: WatchOptions | ((event: WatchEvent) => void), second?: WatchOptions): Watch {
    const listener = typeof first === 'function' ? first : null
    const { kind = 'persistent', signal } = (typeof first === 'function' ? second : first) ?? {}
    if (!WATCH_KINDS.includes(kind)) throw invalidArgument(`there is no watch of kind ${String(kind)}`, `Use one of ${WATCH_KINDS.join(', ')}.`)
    return this.#watch(path, kind, listener, signal)
  }

  node<T>(path: string, codec: Codec<T>): TypedNode<T> {
    this.#root.in(path)
    return new ZnodeValue(this, path, codec, (watched, signal) => this.#watch(watched, 'persistent', null, signal))
  }

  chroot(path: string): Session {
    return new ReplicaSession(this.#core, this.#root.below(path))
  }

  // Who it is

  addAuth(scheme: string, credential: Uint8Array | string): Promise<void> {
    return this.#core.addAuth(scheme, typeof credential === 'string' ? encoder.encode(credential) : credential)
  }

  async whoAmI(): Promise<readonly Identity[]> {
    this.#core.expectOpen()
    return this.#core.tree.whoAmI(this.#core.identities)
  }

  on<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this {
    this.#core.events.on(event, listener)
    return this
  }
  once<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this {
    this.#core.events.once(event, listener)
    return this
  }
  off<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this {
    this.#core.events.off(event, listener)
    return this
  }

  close(options: CallOptions = {}): Promise<void> {
    return this.#core.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // Inside

  /** What is wrong with the arguments rejects, as everything does. */
  #attempt<T>(call: () => Promise<T>): Promise<T> {
    try {
      return call()
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  /** `path` is as the caller knows it. */
  #write(operation: WriteOperation, path: string, options: CallOptions): Promise<ZnodeResult> {
    const judge = (result: ZnodeResult): ZnodeResult => {
      if (result.type === 'error') throw znodeError(result.error, path)
      return result
    }
    return this.#core.write(operation, limitsOf(options)).then((result) => {
      const behind = this.#core.behindEvents(result)
      return behind instanceof Promise ? behind.then(judge) : judge(behind)
    })
  }

  #watch(path: string, kind: WatchKind, listener: ((event: WatchEvent) => void) | null, signal: AbortSignal | undefined): SessionWatch {
    const watch = new SessionWatch(this.#core, this.#root, path, kind, listener)
    this.#core.register(watch)
    if (signal !== undefined) watch.endWith(signal)
    return watch
  }

  #watchOnce(path: string, kind: 'data' | 'children', listener: ((event: WatchEvent) => void) | undefined): void {
    if (listener !== undefined) this.#core.register(new SessionWatch(this.#core, this.#root, path, kind, listener))
  }

  #readOne(target: { readonly data: string } | { readonly children: string }, path: string): ReadResult {
    const { reader } = this.#core.tree
    try {
      if ('children' in target) return { ok: true, children: reader.children(target.children, this.#core.identities) }
      const { data, stat } = reader.get(target.data, this.#core.identities)
      return { ok: true, data: data === null ? null : data.slice(), stat }
    } catch (thrown) {
      if (thrown instanceof AntiphonError) return { ok: false, error: askedFor(path, thrown) }
      throw thrown
    }
  }
}

function isReads(reads: unknown): boolean {
  return Array.isArray(reads) && reads.every((read: unknown) => typeof read === 'object' && read !== null)
}

function limitsOf({ signal, timeoutMs }: CallOptions): CallOptions {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}

function statOf(result: ZnodeResult): Stat {
  if (result.type !== 'setData' && result.type !== 'setAcl') throw unexpected(result)
  return result.stat
}

/** What the tree says of a path as it knows it, said of `path`, as the caller does. */
function saidOf<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw thrown instanceof AntiphonError ? askedFor(path, thrown) : thrown
  }
}

function askedFor(path: string, error: AntiphonError): AntiphonError {
  const isOther = error.code === 'REFUSED' && error.details['path'] !== undefined && error.details['path'] !== path
  return isOther ? znodeError(error.refusal as ZnodeErrorCode, path) : error
}
