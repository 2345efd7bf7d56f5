import { type CommittedBatch, type PeerId, type PrimaryContext, type StateMachine, ZERO, type Zxid } from '@antiphon/ports'
import type { Acl, SessionId, SessionListener, Stat, WatchEvent, Watcher, WriteOperation, ZnodeRequest, ZnodeResult, ZnodeTree } from '@antiphon/znode-tree'
import { busyTree, CREATED_AT_FIRST, numbered } from './first-state.ts'

/** What a workload asks for: sessions by number, for their ids and attachments are only known where they are applied. */
export type Wish =
  | { readonly kind: 'open' | 'close'; readonly session: number }
  /** `session` 0: a local one, without ephemeral nodes. */
  | { readonly kind: 'write'; readonly session: number; readonly operation: WriteOperation }

const WISH = 1
const OWN = 0
const TIMEOUT_MS = 4_000
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function sessionId(session: number): SessionId {
  return (7n << 56n) | BigInt(session)
}

/**
 * A znode tree that checks itself, at each batch: every ephemeral node has its session and every session that is gone has none; what a recursive watch on the root hears is exactly how the tree changed; a watch
 * that fires once fires at the first change and not before; a sequential node has the number that is next, also where numbers begin to be negative, and no name is given out twice. What is wrong throws
 * in `apply`, which the simulation finds.
 */
export class WatchedTree implements StateMachine<Wish | ZnodeRequest, ZnodeResult> {
  readonly name = 'znodes'
  readonly version = 1
  readonly #tree: ZnodeTree = busyTree({ sessionTimeoutMsMin: 1_000, sessionTimeoutMsMax: 60_000, reapEveryMs: 500, enforceQuota: true })
  readonly #checks = new Checks(this.#tree)

  encodeRequest(request: Wish | ZnodeRequest): Uint8Array {
    if (isWish(request))
      return tagged(WISH, encoder.encode(JSON.stringify(request, (_, value: unknown) => (value instanceof Uint8Array ? { bytes: [...value] } : value))))
    return tagged(OWN, this.#tree.encodeRequest(request))
  }

  decodeRequest(bytes: Uint8Array): Wish | ZnodeRequest {
    return bytes[0] === OWN ? this.#tree.decodeRequest(bytes.subarray(1)) : wishOf(bytes)
  }

  encodeResult(result: ZnodeResult): Uint8Array {
    return this.#tree.encodeResult(result)
  }

  decodeResult(bytes: Uint8Array): ZnodeResult {
    return this.#tree.decodeResult(bytes)
  }

  prepare(bytes: Uint8Array, context: PrimaryContext): Uint8Array {
    return this.#tree.prepare!(bytes[0] === OWN ? bytes.subarray(1) : this.#tree.encodeRequest(this.#fulfil(wishOf(bytes))), context)
  }

  unprepare(): void {
    this.#tree.unprepare!()
  }
  leading(context: PrimaryContext): void {
    this.#tree.leading!(context)
  }
  abandon(): void {
    this.#tree.abandon!()
  }
  tick(context: PrimaryContext): readonly ZnodeRequest[] {
    return this.#tree.tick!(context)
  }
  note(): Uint8Array | null {
    return this.#tree.note!()
  }
  heard(from: PeerId, note: Uint8Array, monotonic: number): void {
    this.#tree.heard!(from, note, monotonic)
  }

  apply(batch: CommittedBatch): readonly ZnodeResult[] {
    this.#checks.begin()
    const results = this.#tree.apply(batch)
    this.#checks.end(batch.zxid(batch.length - 1))
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    return this.#tree.snapshot()
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#checks.begin()
    await this.#tree.restore(zxid, chunks)
    this.#checks.replaced()
  }

  digest(): bigint {
    return this.#tree.digest()
  }

  #fulfil(wish: Wish): ZnodeRequest {
    const id = sessionId(wish.session)
    const attachment = this.#tree.session(id)?.attachment ?? ZERO
    if (wish.kind === 'open') return { kind: 'createSession', peer: 7, timeoutMs: TIMEOUT_MS, id }
    if (wish.kind !== 'write') return { kind: 'closeSession', session: id, attachment }
    return { kind: 'write', session: id, attachment, local: wish.session === 0, identities: [], operation: wish.operation }
  }
}

interface Shadow {
  readonly czxid: Zxid
  /** How often its data was said to have changed since it was made. */
  changes: number
  /** Children made, ever. */
  created: number
  /** Numbers of those of them that were seen. */
  readonly given: Set<string>
}

/** What the workload calls nodes that are not sequential. */
const PLAIN_NAME = /\/([a-z]|r\d)$/
const NUMBER = /-?\d+$/

/** Hears everything, and compares it with what is there. */
class Checks implements Watcher, SessionListener {
  readonly #tree: ZnodeTree
  #shadow: Map<string, Shadow>
  #heard: WatchEvent[] = []
  readonly #once: OneShot[]
  readonly #gone = new Set<SessionId>()

  constructor(tree: ZnodeTree) {
    this.#tree = tree
    tree.watches.add(this, '/', 'recursive')
    tree.listen(this)
    this.#once = ['/a', '/b', '/a/c'].map((path) => new OneShot(tree, path))
    this.#shadow = shadowsOf(this.#actual(), (path) => ({ created: CREATED_AT_FIRST[path] ?? 0, given: new Set() }))
  }

  notify(event: WatchEvent): void {
    this.#heard.push(event)
  }

  mayRead(_: readonly Acl[]): boolean {
    return true
  }

  closed(session: SessionId): void {
    this.#gone.add(session)
  }
  moved(): void {}
  applied(): void {}
  restored(): void {}

  begin(): void {
    this.#heard = []
    this.#gone.clear()
  }

  end(zxid: Zxid): void {
    for (const event of this.#heard) {
      if (event.zxid > zxid) throw new Error(`an event of ${event.zxid} was told at ${zxid}`)
      this.#take(event)
    }
    const actual = this.#actual()
    for (const [path, { version, cversion, numChildren }] of actual) {
      const told = this.#shadow.get(path)
      if (told?.changes !== version) throw new Error(`${path} has changed ${version} times, ${told?.changes ?? 'none'} were told`)
      const expected = (2 * told.created - numChildren) | 0
      if (cversion !== expected)
        throw new Error(`${path} has had ${told.created} children made and has ${numChildren}: its cversion is ${cversion}, not ${expected}`)
    }
    for (const path of this.#shadow.keys()) if (!actual.has(path)) throw new Error(`${path} is gone, and nobody was told`)
    for (const watch of this.#once) watch.check()
    for (const session of this.#gone)
      if (this.#tree.session(session) === null && this.#tree.reader.ephemerals(session).length > 0)
        throw new Error(`session ${session} is gone, and ${this.#tree.reader.ephemerals(session)} are not`)
  }

  #take({ type, path, zxid }: WatchEvent): void {
    const told = this.#shadow.get(path)
    if (type === 'created') {
      if (told !== undefined) throw new Error(`${path} was told to be made twice`)
      this.#shadow.set(path, { czxid: zxid, changes: 0, created: 0, given: new Set() })
      this.#countChild(path)
    } else if (told === undefined) throw new Error(`${type} of ${path} was told, which is not there`)
    else if (type === 'deleted') this.#shadow.delete(path)
    else if (type === 'dataChanged') told.changes++
    else throw new Error(`a recursive watch heard ${type}`)
  }

  #countChild(path: string): void {
    const above = parentOf(path)
    const parent = this.#shadow.get(above)
    if (parent === undefined) throw new Error(`${path} was made below nothing`)
    const next = numbered(parent.created++)
    if (PLAIN_NAME.test(path)) return
    const [number] = NUMBER.exec(path) ?? []
    if (number === undefined || parent.given.has(number))
      throw new Error(`${path} was made with a number that was given out below ${above} before, or with none`)
    if (number !== next) throw new Error(`${path} was made where the number ${next} is next`)
    parent.given.add(number)
  }

  /** Of what came and went in between nobody can know; of what is there each change was told, and of what is gone that it is, or that children came or went above it. */
  replaced(): void {
    const told = new Set(this.#heard.map(({ type, path }) => `${type} ${path}`))
    const actual = this.#actual()
    for (const path of actual.keys())
      if (!this.#shadow.has(path) && !told.has(`created ${path}`)) throw new Error(`${path} came with a snapshot, and nobody was told`)
    for (const path of this.#shadow.keys()) {
      if (actual.has(path) || told.has(`deleted ${path}`)) continue
      let above = path
      do above = parentOf(above)
      while (!actual.has(above) && above !== '/')
      if (!told.has(`childrenChanged ${above}`) && !told.has(`created ${above}`))
        throw new Error(`${path} went with a snapshot, and nobody was told of ${above}`)
    }
    this.#heard = []
    this.#shadow = shadowsOf(actual, (path, stat) => countAfter(stat, this.#shadow.get(path)))
    for (const watch of this.#once) watch.check()
  }

  /** Also looks at each node's session. */
  #actual(): Map<string, Stat> {
    const { reader } = this.#tree
    const found = new Map<string, Stat>()
    const walk = (path: string): void => {
      const stat = reader.exists(path)
      if (stat === null) throw new Error(`${path} is a child and not there`)
      found.set(path, stat)
      if (stat.ephemeralOwner !== 0n && this.#tree.session(stat.ephemeralOwner) === null)
        throw new Error(`${path} has outlived its session ${stat.ephemeralOwner}`)
      const names = reader.children(path)
      if (new Set(names).size !== stat.numChildren) throw new Error(`${path} has ${stat.numChildren} children, and lists ${names}`)
      for (const name of names) if (path !== '/' || name !== 'zookeeper') walk(path === '/' ? `/${name}` : `${path}/${name}`)
    }
    walk('/')
    return found
  }
}

type Count = Pick<Shadow, 'created' | 'given'>

function shadowsOf(actual: ReadonlyMap<string, Stat>, countOf: (path: string, stat: Stat) => Count): Map<string, Shadow> {
  const shadows = new Map([...actual].map(([path, stat]) => [path, { czxid: stat.czxid, changes: stat.version, ...countOf(path, stat) }]))
  for (const path of actual.keys()) {
    const [number] = PLAIN_NAME.test(path) ? [] : (NUMBER.exec(path) ?? [])
    if (number !== undefined) shadows.get(parentOf(path))!.given.add(number)
  }
  return shadows
}

/** What a restored Stat tells: how many children were made, but for the highest bit. Never fewer than before, of the same node. */
function countAfter({ czxid, cversion, numChildren }: Stat, before: Shadow | undefined): Count {
  const low = ((cversion + numChildren) >>> 1) % 2 ** 31
  if (before?.czxid !== czxid) return { created: low, given: new Set() }
  return { created: low < before.created ? low + 2 ** 31 : low, given: before.given }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

/** A watch that is set again and again, by `exists`. */
class OneShot implements Watcher {
  readonly #tree: ZnodeTree
  readonly #path: string
  #set = ''
  #fired = 0

  constructor(tree: ZnodeTree, path: string) {
    this.#tree = tree
    this.#path = path
    this.#register()
  }

  notify(): void {
    this.#fired++
  }

  mayRead(): boolean {
    return true
  }

  check(): void {
    const changed = this.#state() !== this.#set
    if (this.#fired > 1) throw new Error(`a watch on ${this.#path} fired ${this.#fired} times`)
    if (changed && this.#fired === 0) throw new Error(`${this.#path} went from ${this.#set} to ${this.#state()}, and its watch did not fire`)
    if (this.#fired > 0) this.#register()
  }

  #register(): void {
    this.#fired = 0
    this.#set = this.#state()
    this.#tree.watches.add(this, this.#path, 'data')
  }

  #state(): string {
    const stat = this.#tree.reader.exists(this.#path)
    return stat === null ? 'absent' : `${stat.czxid}:${stat.mzxid}`
  }
}

function isWish(request: Wish | ZnodeRequest): request is Wish {
  return typeof (request as { session?: unknown }).session === 'number'
}

function wishOf(bytes: Uint8Array): Wish {
  return JSON.parse(decoder.decode(bytes.subarray(1)), (_, value: unknown) =>
    typeof value === 'object' && value !== null && 'bytes' in value ? Uint8Array.from(value.bytes as number[]) : value,
  ) as Wish
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes.length + 1)
  all[0] = tag
  all.set(bytes, 1)
  return all
}
