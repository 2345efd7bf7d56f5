import type { CommittedBatch, PrimaryContext, Zxid } from '@antiphon/ports'
import {
  type Identity,
  type MultiPart,
  type OperationResult,
  READ,
  type SessionId,
  type SessionInfo,
  type WatchEvent,
  type Watcher,
  type WatchKind,
  type WriteOperation,
  ZNODE_ERRORS,
  type ZnodeRequest,
  type ZnodeResult,
  type ZnodeTree,
  znodeTree,
} from '@antiphon/znode-tree'
import { CODES } from './model/codes.ts'
import { timeOf, zxidOf } from './model/model.ts'
import type { Data, Part, Program, Step, Write } from './program.ts'
import type { PartReply, Reply, Seen, Transcript } from './transcript.ts'
import { javaPassword } from './wire/password.ts'

type StepOf<Op extends Step['op']> = Extract<Step, { op: Op }>

const PEER = 1
const TIMEOUT_MS = 40_000
const IP: Identity = { scheme: 'ip', id: '127.0.0.1' }

const bytesOf = (data: Data): Uint8Array | null => (data === null ? null : Uint8Array.from(Buffer.from(data, 'latin1')))
const dataOf = (bytes: Uint8Array | null): Data => (bytes === null ? null : Buffer.from(bytes).toString('latin1'))

function operationOf(write: Write): WriteOperation
function operationOf(write: Part): MultiPart
function operationOf(write: Write | Part): WriteOperation | MultiPart {
  switch (write.op) {
    case 'create': {
      const { path, acl, mode, ttlMs } = write
      return { type: 'create', path, data: bytesOf(write.data), acl, mode, ttlMs }
    }
    case 'setData':
      return { type: 'setData', path: write.path, data: bytesOf(write.data), version: write.version }
    case 'setAcl':
      return { type: 'setAcl', path: write.path, acl: write.acl, version: write.version }
    case 'multi':
      return { type: 'multi', operations: write.parts.map((part) => operationOf(part)) }
    default:
      return { type: write.op, path: write.path, version: write.version }
  }
}

function partReply(result: OperationResult, part: Write | Part): PartReply {
  switch (result.type) {
    case 'error':
      return { code: ZNODE_ERRORS[result.error] }
    case 'create':
      return part.op === 'create' && part.stat ? { code: 0, path: result.path, stat: result.stat } : { code: 0, path: result.path }
    case 'setData':
    case 'setAcl':
      return { code: 0, stat: result.stat }
    default:
      return { code: 0 }
  }
}

/** Who watches and asks: a session's front. */
class Client implements Watcher {
  readonly seen: Seen[] = []
  readonly #tree: () => ZnodeTree
  readonly #noted: (client: Client, event: WatchEvent) => void
  session: SessionId = 0n
  attachment = 0 as Zxid
  identities: readonly Identity[] = []

  constructor(tree: () => ZnodeTree, noted: (client: Client, event: WatchEvent) => void) {
    this.#tree = tree
    this.#noted = noted
  }

  notify(event: WatchEvent): void {
    this.#noted(this, event)
  }

  mayRead(acl: Parameters<Watcher['mayRead']>[0]): boolean {
    return this.#tree().permits(acl, READ, this.identities)
  }
}

interface Prepared {
  readonly request: Uint8Array
  change: Uint8Array
  readonly zxid: Zxid
  readonly time: number
  /** Called with the result, where it stands among the events. */
  readonly take: (result: ZnodeResult) => void
}

function fail(message: string): never {
  throw new Error(message)
}

function same(left: Uint8Array, right: Uint8Array, what: string): void {
  if (!Buffer.from(left).equals(right)) fail(`${what} differ: ${Buffer.from(left).toString('hex')} and ${Buffer.from(right).toString('hex')}`)
}

const newTree = (): ZnodeTree => znodeTree({ enforceQuota: true })

/**
 * Our machine on two replicas: one prepares, both apply, the first is read. Beside what the clients see it proves that both have equal results, digests and snapshots, that what is prepared can be
 * taken back, and that who holds a session no more is told so.
 */
export class MachineRun {
  #first: ZnodeTree
  #second: ZnodeTree
  /** Which of them prepares. */
  #leads: 'first' | 'second' = 'first'
  readonly #clients: Client[]
  readonly #pending: Prepared[] = []
  #noted: { readonly client: Client; readonly event: WatchEvent }[] = []
  readonly #told: string[] = []
  /** The last that is applied. */
  #zxid = 0 as Zxid
  /** Those of what clients asked for. */
  readonly #changes: Zxid[] = [0 as Zxid]
  readonly #sessions = new Map<number, bigint>()
  #step = 0
  /** Entries of this step that no client asked for. */
  #probes = 0
  #takesBack = false

  constructor(clients: number) {
    this.#first = newTree()
    this.#second = newTree()
    this.#clients = Array.from(
      { length: clients },
      () =>
        new Client(
          () => this.#first,
          (client, event) => this.#noted.push({ client, event }),
        ),
    )
    this.#first.listen({
      closed: (session, reason, zxid) => void this.#told.push(`closed ${session} ${reason} ${zxid}`),
      moved: (session, zxid) => void this.#told.push(`moved ${session} ${zxid}`),
      restored: () => fail('restored'),
      applied: (zxid) => void this.#told.push(`applied ${zxid}`),
    })
    this.#first.leading?.(this.#context())
  }

  async run(program: Program): Promise<Transcript> {
    for (const [index, step] of program.entries()) {
      this.#step = index
      this.#probes = 0
      try {
        await this.#take(step)
      } catch (error) {
        throw new Error(`step ${index}: ${(error as Error).stack}`)
      }
    }
    this.#flush()
    this.#compare()
    return this.#clients.map(({ seen }) => seen)
  }

  /** What the sessions of a model are called here. */
  sessions(theirs: ReadonlyMap<number, bigint>): ReadonlyMap<bigint, bigint> {
    return new Map([...theirs].map(([step, session]) => [session, this.#sessions.get(step)!]))
  }

  treeDigest(): bigint {
    return this.#first.treeDigest()
  }

  get #primary(): ZnodeTree {
    return this.#leads === 'first' ? this.#first : this.#second
  }

  /** What stands at the number of this step, or behind it. */
  #context(): PrimaryContext {
    const zxid = (zxidOf(this.#step) + this.#probes) as Zxid
    const time = timeOf(this.#step)
    return { epoch: 1, zxid, time, monotonic: time, changeBytesMax: 1 << 26, random: () => 0 }
  }

  async #take(step: Step): Promise<void> {
    const client = this.#clients[step.client]!
    const index = this.#step
    const reply = (said: Reply): void => {
      client.seen.push({ kind: 'reply', step: index, reply: said })
      if (said.zxid !== undefined) this.#changes.push(said.zxid as Zxid)
    }
    switch (step.op) {
      case 'create':
      case 'delete':
      case 'setData':
      case 'setAcl':
      case 'multi':
        this.#propose(this.#requestOf(client, operationOf(step)), (result) => reply(this.#replyOf(result, step)))
        break
      case 'open':
        this.#open(client, reply)
        break
      case 'close':
        this.#close(client, reply)
        break
      case 'reattach':
        this.#reattach(client)
        reply({ code: 0 })
        break
      case 'intrude': {
        const request = { kind: 'attachSession', session: client.session, password: new Uint8Array(16).fill(1), peer: 2, timeoutMs: TIMEOUT_MS } as const
        let code = 0
        this.#propose(request, (result) => {
          if (result.type === 'error') code = ZNODE_ERRORS[result.error]
        })
        this.#flush()
        this.#probes++
        this.#reattach(client)
        reply({ code })
        break
      }
      case 'auth':
        this.#flush()
        for (const shown of this.#first.authenticate('digest', Buffer.from(step.credential)))
          if (!client.identities.some(({ scheme, id }) => scheme === shown.scheme && id === shown.id)) client.identities = [...client.identities, shown]
        reply({ code: 0 })
        break
      case 'abandon':
        this.#primary.abandon?.()
        this.#primary.leading?.(this.#context())
        for (const prepared of this.#pending) prepared.change = this.#primary.prepare!(prepared.request, this.#contextOf(prepared)).slice()
        break
      case 'unprepare':
        this.#takesBack = true
        break
      case 'restore':
        this.#flush()
        await this.#restore()
        break
      case 'lead':
        this.#flush()
        this.#primary.abandon?.()
        this.#leads = this.#leads === 'first' ? 'second' : 'first'
        this.#primary.leading?.(this.#context())
        break
      default:
        this.#flush()
        this.#look(client, step, reply)
    }
    if (step.held !== true) this.#flush()
  }

  #requestOf(client: Client, operation: WriteOperation): ZnodeRequest {
    const { session, attachment, identities } = client
    return { kind: 'write', session, attachment, local: false, identities, operation }
  }

  #replyOf(result: ZnodeResult, write: Write): Reply {
    const { zxid } = result
    if (result.type === 'multi' && write.op === 'multi') return { zxid, code: 0, parts: result.results.map((part, at) => partReply(part, write.parts[at]!)) }
    if (result.type === 'session' || result.type === 'done' || result.type === 'multi') fail(`a ${write.op} comes to ${result.type}`)
    return { ...partReply(result, write), zxid }
  }

  #open(client: Client, reply: (said: Reply) => void): void {
    this.#propose({ kind: 'createSession', peer: PEER, timeoutMs: TIMEOUT_MS, id: null }, (result) => {
      if (result.type !== 'session') fail(`a new session is ${result.type}`)
      client.session = result.session
      client.attachment = result.zxid
      client.identities = [IP]
      const { zxid, session, password, timeoutMs } = result
      this.#sessions.set(this.#step, session)
      if (session >> 56n !== BigInt(PEER) || timeoutMs !== TIMEOUT_MS) fail(`session ${session} with ${timeoutMs} ms`)
      reply({ code: 0, zxid, session, passwordIsJavas: javaPassword(session).equals(password) })
    })
    this.#flush()
    this.#held(client)
  }

  #held({ session, attachment }: Client): SessionInfo {
    const info = this.#first.session(session)
    if (info === null || info.attachment !== attachment) fail(`session ${session} is attached as of ${info?.attachment}, not ${attachment}`)
    return info
  }

  /** The end may be prepared long before it is applied: what is asked in the session's name behind it is refused all the same. */
  #close(client: Client, reply: (said: Reply) => void): void {
    const { session, attachment } = client
    this.#propose({ kind: 'closeSession', session, attachment }, (result) => {
      const { zxid } = result
      if (result.type !== 'done') fail(`closing comes to ${result.type}`)
      if (this.#told.filter((told) => told === `closed ${session} closed ${zxid}`).length !== 1) fail(`who is told of the end: ${this.#told}`)
      if (this.#first.session(session) !== null) fail('a closed session is there')
      reply({ code: 0, zxid })
      this.#leave(client)
      client.identities = []
    })
    this.#mustFail(client, attachment, 'SESSION_EXPIRED')
  }

  /** Nothing reaches it any more, be it applied in the same batch. */
  #leave(client: Client): void {
    this.#first.watches.drop(client)
    this.#noted = this.#noted.filter((noted) => noted.client !== client)
  }

  /** Its holder is another one now: the one before is told, and can do nothing more. */
  #reattach(client: Client): void {
    const { session, attachment } = client
    this.#propose({ kind: 'attachSession', session, password: javaPassword(session), peer: 2, timeoutMs: TIMEOUT_MS }, (result) => {
      if (result.type !== 'session') fail(`attaching comes to ${result.type}`)
      if (!this.#told.includes(`moved ${session} ${result.zxid}`)) fail(`who is told of the move: ${this.#told}`)
      this.#leave(client)
      client.attachment = result.zxid
      client.identities = [IP]
    })
    this.#mustFail(client, attachment, 'SESSION_MOVED')
    this.#flush()
    this.#held(client)
  }

  #mustFail({ session }: Client, attachment: Zxid, error: string): void {
    this.#probes++
    const operation: WriteOperation = { type: 'setData', path: '/', data: null, version: -1 }
    this.#propose({ kind: 'write', session, attachment, local: false, identities: [IP], operation }, (result) => {
      if (result.type !== 'error' || result.error !== error) fail(`instead of ${error} there is ${result.type === 'error' ? result.error : result.type}`)
    })
  }

  #propose(request: ZnodeRequest, take: Prepared['take']): void {
    const bytes = this.#primary.encodeRequest(request).slice()
    same(this.#primary.encodeRequest(this.#primary.decodeRequest(bytes)), bytes, 'a request and its copy')
    const context = this.#context()
    const taken = this.#takesBack
    this.#takesBack = false
    let change = this.#primary.prepare!(bytes, context).slice()
    if (taken) {
      this.#primary.unprepare!()
      const again = this.#primary.prepare!(bytes, context).slice()
      same(change, again, 'a change and the same change, taken back before')
      change = again
    }
    this.#pending.push({ request: bytes, change, zxid: (zxidOf(this.#step) + this.#probes) as Zxid, time: context.time, take })
  }

  #contextOf({ zxid, time }: Prepared): PrimaryContext {
    return { ...this.#context(), zxid, time }
  }

  /** Applies all that is prepared, and tells events and results in their order; the last ZXID. */
  #flush(): Zxid {
    const batch = this.#pending.splice(0)
    if (batch.length === 0) return this.#zxid
    const committed = batchOf(batch)
    this.#told.length = 0
    const results = this.#first.apply(committed)
    const others = this.#second.apply(committed)
    if (results.length !== batch.length || others.length !== batch.length) fail(`${batch.length} changes have ${results.length} and ${others.length} results`)
    for (const [index, { zxid, take }] of batch.entries()) {
      const encoded = this.#first.encodeResult(results[index]!).slice()
      same(this.#second.encodeResult(others[index]!), encoded, 'results of two replicas')
      while (this.#noted[0]?.event.zxid === zxid) this.#tell(this.#noted.shift()!)
      take(this.#first.decodeResult(encoded))
      this.#zxid = zxid
    }
    if (this.#noted.length > 0) fail(`events out of order: ${JSON.stringify(this.#noted.map(({ event }) => event))}`)
    const last = batch.at(-1)!.zxid
    if (this.#told.at(-1) !== `applied ${last}`) fail(`the end of the batch at ${last} is told last, not ${this.#told.at(-1)}`)
    if (this.#first.digest() !== this.#second.digest()) fail('digests of two replicas differ')
    return last
  }

  #tell({ client, event }: { client: Client; event: WatchEvent }): void {
    client.seen.push({ kind: 'event', ...event })
  }

  #look(client: Client, step: Step, reply: (said: Reply) => void): void {
    try {
      reply(this.#read(client, step))
    } catch (error) {
      const { details } = error as { details?: { zookeeperCode?: number } }
      if (details?.zookeeperCode === undefined) throw error
      reply({ code: details.zookeeperCode })
    }
  }

  #read(client: Client, step: Step): Reply {
    const { reader, watches } = this.#first
    const { identities } = client
    switch (step.op) {
      case 'exists': {
        // A front's own check: there is no such path.
        if (step.path.includes('\0')) return { code: CODES.BAD_ARGUMENTS }
        const stat = reader.exists(step.path, identities)
        if (step.watch) watches.add(client, step.path, 'data')
        return stat === null ? { code: CODES.NO_NODE } : { code: 0, stat }
      }
      case 'getData': {
        const { data, stat } = reader.get(step.path, identities)
        const reply = { code: 0, data: dataOf(data), stat }
        if (dataOf(reader.data(step.path, identities)) !== reply.data) fail('two ways to read data differ')
        if (step.watch) watches.add(client, step.path, 'data')
        return reply
      }
      case 'children': {
        const children = reader.children(step.path, identities)
        if (step.watch) watches.add(client, step.path, 'children')
        return step.stat ? { code: 0, children, stat: reader.get(step.path).stat } : { code: 0, children }
      }
      case 'getAcl':
        return { code: 0, ...reader.acl(step.path, identities) }
      case 'countDescendants':
        return { code: 0, count: reader.countDescendants(step.path, identities) }
      case 'sync':
        return { code: 0, path: step.path }
      case 'ephemerals': {
        const all = ['', '/'].includes((step.prefix ?? '').trim())
        return { code: 0, paths: all ? reader.ephemerals(client.session) : reader.ephemerals(client.session, step.prefix!) }
      }
      case 'multiRead':
        return { code: 0, parts: step.parts.map(({ op, path }) => this.#readPart(client, op, path)) }
      case 'whoAmI':
        return { code: 0, users: this.#first.whoAmI(identities).map(({ scheme, id }) => `${scheme}:${id}`) }
      case 'addWatch':
        watches.add(client, step.path, step.recursive ? 'recursive' : 'persistent')
        return { code: 0 }
      case 'removeWatches':
      case 'checkWatches': {
        const kind: WatchKind | 'any' = step.type
        const found = step.op === 'removeWatches' ? watches.remove(client, step.path, kind) : watches.has(client, step.path, kind)
        if (step.op === 'removeWatches' && found && watches.has(client, step.path, kind)) fail('a watch that was removed is there')
        return { code: found ? 0 : CODES.NO_WATCHER }
      }
      case 'setWatches':
        return this.#resume(client, step)
      default:
        return fail(`${step.op} is no reading`)
    }
  }

  #readPart(client: Client, op: 'getData' | 'children', path: string): PartReply {
    const step = op === 'getData' ? { client: 0, op, path, watch: false } : { client: 0, op, path, watch: false, stat: false }
    let reply: Reply = { code: 0 }
    this.#look(client, step as Step, (said) => {
      reply = said
    })
    return reply
  }

  #resume(client: Client, { before, data, exists, children }: StepOf<'setWatches'>): Reply {
    const asked = (paths: readonly string[], kind: WatchKind | 'exists'): { path: string; kind: WatchKind | 'exists' }[] =>
      paths.map((path) => ({ path, kind }))
    const all = [...asked(data, 'data'), ...asked(exists, 'exists'), ...asked(children, 'children')]
    this.#first.watches.resume(client, this.#changes.at(-1 - before) ?? (0 as Zxid), all)
    for (const { event } of this.#noted.splice(0)) client.seen.push({ kind: 'event', ...event, zxid: null })
    return { code: 0 }
  }

  #compare(): Uint8Array {
    const [one, other] = [this.#first, this.#second].map((tree) => Buffer.concat([...tree.snapshot()].map((slice) => Buffer.from(slice))))
    same(one!, other!, 'snapshots of two replicas')
    return one!
  }

  async #restore(): Promise<void> {
    const bytes = this.#compare()
    const fresh = newTree()
    // In other pieces than it was written.
    const third = Math.ceil(bytes.length / 3)
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += third) yield bytes.subarray(at, at + third)
    }
    await fresh.restore(this.#zxid, chunks())
    same(Buffer.concat([...fresh.snapshot()].map((slice) => Buffer.from(slice))), bytes, 'a snapshot and that of who was restored from it')
    if (fresh.digest() !== this.#first.digest()) fail('the digest of who was restored differs')
    this.#second = fresh
    if (this.#leads === 'second') fresh.leading?.(this.#context())
  }
}

function batchOf(prepared: readonly Prepared[]): CommittedBatch {
  const bytes = Buffer.concat(prepared.map(({ change }) => change))
  const ends: number[] = []
  for (const { change } of prepared) ends.push((ends.at(-1) ?? 0) + change.length)
  const start = (index: number): number => (index === 0 ? 0 : ends[index - 1]!)
  return {
    length: prepared.length,
    bytes,
    start,
    end: (index) => ends[index]!,
    change: (index) => bytes.subarray(start(index), ends[index]!),
    zxid: (index) => prepared[index]!.zxid,
    time: (index) => prepared[index]!.time,
    needsResult: () => true,
  }
}
