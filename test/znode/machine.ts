import type { Zxid } from '@antiphon/ports'
import {
  type Identity,
  type SessionInfo,
  type WatchEvent,
  type WatchKind,
  type WriteOperation,
  ZNODE_ERRORS,
  type ZnodeRequest,
  type ZnodeResult,
} from '@antiphon/znode-tree'
import { Client } from './client.ts'
import { CODES } from './model/codes.ts'
import { dataOf, operationOf, partReply } from './operations.ts'
import { isHeld, makesEphemeral, type Program, type Step, WATCH_LISTS, type Write } from './program.ts'
import { fail, Replicas } from './replicas.ts'
import type { PartReply, Reply, Transcript } from './transcript.ts'
import { javaPassword } from './wire/password.ts'

type StepOf<Op extends Step['op']> = Extract<Step, { op: Op }>

const PEER = 1
const TIMEOUT_MS = 40_000
const IP: Identity = { scheme: 'ip', id: '127.0.0.1' }

/**
 * A program's clients on our machine. Beside what they see it proves that who holds a session no more is told so, and can do nothing in its name.
 */
export class MachineRun {
  readonly #replicas: Replicas
  readonly #clients: Client[]
  #noted: { readonly client: Client; readonly event: WatchEvent }[] = []
  /** Those of what clients asked for. */
  readonly #changes: Zxid[] = [0 as Zxid]
  readonly #sessions = new Map<number, bigint>()
  #step = 0

  constructor(clients: number) {
    this.#replicas = new Replicas((zxid) => {
      while (this.#noted[0]?.event.zxid === zxid) {
        const { client, event } = this.#noted.shift()!
        client.seen.push({ kind: 'event', ...event })
      }
    })
    const { first } = this.#replicas
    this.#clients = Array.from({ length: clients }, (_, index) => new Client(first, index === 0, (client, event) => this.#noted.push({ client, event })))
  }

  async run(program: Program): Promise<Transcript> {
    for (const [index, step] of program.entries()) {
      this.#step = index
      this.#replicas.begin(index)
      try {
        await this.#take(step)
      } catch (error) {
        throw new Error(`step ${index}: ${(error as Error).stack}`)
      }
    }
    this.#flush()
    this.#replicas.compare()
    return this.#clients.map(({ seen }) => seen)
  }

  /** What the sessions of a model are called here. */
  sessions(theirs: ReadonlyMap<number, bigint>): ReadonlyMap<bigint, bigint> {
    return new Map([...theirs].map(([step, session]) => [session, this.#sessions.get(step)!]))
  }

  treeDigest(): bigint {
    return this.#replicas.first.treeDigest()
  }

  async #take(step: Step): Promise<void> {
    const client = this.#clients[step.client]!
    const index = this.#step
    const held = isHeld(step, client.isLocal)
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
        if (client.isLocal && makesEphemeral(step)) this.#makeGlobal(client)
        this.#replicas.propose(this.#requestOf(client, operationOf(step)), (result) => reply(this.#replyOf(result, step)))
        break
      case 'open':
        if (step.local === true) this.#openLocal(client, reply)
        else this.#open(client, reply)
        break
      case 'close':
        if (client.isLocal) this.#closeLocal(client, reply)
        else this.#close(client, 'closed', reply)
        break
      case 'expire': {
        this.#flush()
        const others = this.#clients.filter((other) => other !== client && other.session !== 0n).map(({ session }) => session)
        const [request, ...more] = this.#replicas.silence(client.session, others, TIMEOUT_MS)
        if (client.isLocal) {
          if (request !== undefined) fail('the leader has a local session closed')
          this.#closeLocal(client, reply)
          break
        }
        if (request?.kind !== 'closeSession' || request.session !== client.session || request.attachment !== null || more.length > 0)
          fail('the leader has not this session closed, and it alone')
        this.#close(client, 'expired', reply)
        break
      }
      case 'reattach':
        if (client.isLocal) {
          reply({ code: this.#attachWith(client, javaPassword(client.session)) })
          break
        }
        this.#reattach(client)
        reply({ code: 0 })
        break
      case 'intrude': {
        const code = this.#attachWith(client, new Uint8Array(16).fill(1))
        if (!client.isLocal) {
          this.#replicas.probe()
          this.#reattach(client)
        }
        reply({ code })
        break
      }
      case 'auth':
        this.#flush()
        for (const shown of this.#replicas.first.authenticate('digest', Buffer.from(step.credential)))
          if (!client.identities.some(({ scheme, id }) => scheme === shown.scheme && id === shown.id)) client.identities = [...client.identities, shown]
        reply({ code: 0 })
        break
      case 'abandon':
        this.#replicas.abandon()
        break
      case 'unprepare':
        this.#replicas.takeBackNext()
        break
      case 'restore':
        await this.#replicas.restore()
        break
      case 'lead':
        this.#replicas.lead()
        break
      case 'jump': {
        const requests = step.writes.map((write): ZnodeRequest => {
          return { kind: 'write', session: 0n, attachment: 0 as Zxid, local: true, identities: [IP], operation: operationOf(write) }
        })
        this.#flush()
        await this.#replicas.jump(requests)
        this.#tellMissed()
        break
      }
      default:
        this.#flush()
        this.#look(client, step, reply)
    }
    if (!held) this.#flush()
  }

  /** Of what has happened when nobody looked. */
  #tellMissed(): void {
    for (const { client, event } of this.#noted.splice(0)) client.seen.push({ kind: 'event', ...event, zxid: null })
  }

  #flush(): void {
    this.#replicas.flush()
    if (this.#noted.length > 0) fail(`events out of order: ${JSON.stringify(this.#noted.map(({ event }) => event))}`)
  }

  #requestOf(client: Client, operation: WriteOperation): ZnodeRequest {
    const { session, attachment, identities, isLocal } = client
    return { kind: 'write', session, attachment, local: isLocal, identities, operation }
  }

  #replyOf(result: ZnodeResult, write: Write): Reply {
    const { zxid } = result
    if (result.type === 'multi' && write.op === 'multi') return { zxid, code: 0, parts: result.results.map((part, at) => partReply(part, write.parts[at]!)) }
    if (result.type === 'session' || result.type === 'done' || result.type === 'multi') fail(`a ${write.op} comes to ${result.type}`)
    return { ...partReply(result, write), zxid }
  }

  #open(client: Client, reply: (said: Reply) => void): void {
    this.#replicas.propose({ kind: 'createSession', peer: PEER, timeoutMs: TIMEOUT_MS, id: null }, (result) => {
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

  /** Its id is its own idea. Nobody knows it, and it has no ephemeral nodes. */
  #openLocal(client: Client, reply: (said: Reply) => void): void {
    this.#flush()
    const above = this.#step % 2 === 0 ? 0xfen : 0x01n
    client.session = (BigInt(PEER) << 56n) | (above << 48n) | (BigInt(this.#step) << 16n)
    client.attachment = 0 as Zxid
    client.identities = [IP]
    this.#sessions.set(this.#step, client.session)
    this.#mustFail(client, client.attachment, 'SESSION_EXPIRED')
    const operation = { type: 'create', path: '/e', data: null, acl: [], mode: 'ephemeral', ttlMs: 0 } as const
    this.#mustFail(client, client.attachment, 'EPHEMERAL_ON_LOCAL_SESSION', operation)
    this.#flush()
    if (this.#replicas.first.session(client.session) !== null) fail('a local session is known')
    reply({ code: 0, session: client.session })
  }

  /** As its front does: what is asked for is asked again in the name of the global session. */
  #makeGlobal(client: Client): void {
    this.#replicas.propose({ kind: 'createSession', peer: PEER, timeoutMs: TIMEOUT_MS, id: client.session }, (result) => {
      if (result.type !== 'session' || result.session !== client.session) fail(`local session ${client.session} comes to ${JSON.stringify(result, String)}`)
      if (!javaPassword(client.session).equals(result.password)) fail('a session that was local has another password')
      client.attachment = result.zxid
    })
    this.#flush()
    this.#held(client)
    this.#replicas.probe()
  }

  #closeLocal(client: Client, reply: (said: Reply) => void): void {
    this.#flush()
    this.#leave(client)
    client.session = 0n
    client.identities = []
    reply({ code: 0 })
  }

  #attachWith({ session }: Client, password: Uint8Array): number {
    let code = 0
    this.#replicas.propose({ kind: 'attachSession', session, password, peer: 2, timeoutMs: TIMEOUT_MS }, (result) => {
      if (result.type === 'error') code = ZNODE_ERRORS[result.error]
    })
    this.#flush()
    return code
  }

  #held({ session, attachment }: Client): SessionInfo {
    const info = this.#replicas.first.session(session)
    if (info === null || info.attachment !== attachment) fail(`session ${session} is attached as of ${info?.attachment}, not ${attachment}`)
    return info
  }

  /** The end may be prepared long before it is applied: what is asked in the session's name behind it is refused all the same. */
  #close(client: Client, reason: 'closed' | 'expired', reply: (said: Reply) => void): void {
    const { session, attachment } = client
    this.#replicas.propose({ kind: 'closeSession', session, attachment: reason === 'closed' ? attachment : null }, (result) => {
      const { zxid } = result
      if (result.type !== 'done') fail(`closing comes to ${result.type}`)
      if (this.#replicas.told.filter((told) => told === `closed ${session} ${reason} ${zxid}`).length !== 1)
        fail(`who is told of the end: ${this.#replicas.told}`)
      if (this.#replicas.first.session(session) !== null) fail('a closed session is there')
      reply({ code: 0, zxid })
      this.#leave(client)
      client.session = 0n
      client.identities = []
    })
    this.#mustFail(client, attachment, 'SESSION_EXPIRED')
  }

  /** Nothing reaches it any more, be it applied in the same batch. */
  #leave(client: Client): void {
    this.#replicas.first.watches.drop(client)
    this.#noted = this.#noted.filter((noted) => noted.client !== client)
  }

  /** Its holder is another one now: the one before is told, and can do nothing more. */
  #reattach(client: Client): void {
    const { session, attachment } = client
    this.#replicas.propose({ kind: 'attachSession', session, password: javaPassword(session), peer: 2, timeoutMs: TIMEOUT_MS }, (result) => {
      if (result.type !== 'session') fail(`attaching comes to ${result.type}`)
      if (!this.#replicas.told.includes(`moved ${session} ${result.zxid}`)) fail(`who is told of the move: ${this.#replicas.told}`)
      this.#leave(client)
      client.attachment = result.zxid
      client.identities = [IP]
    })
    this.#mustFail(client, attachment, 'SESSION_MOVED')
    this.#flush()
    this.#held(client)
  }

  #mustFail({ session }: Client, attachment: Zxid, error: string, asLocal: WriteOperation | null = null): void {
    this.#replicas.probe()
    const operation: WriteOperation = asLocal ?? { type: 'setData', path: '/', data: null, version: -1 }
    this.#replicas.propose({ kind: 'write', session, attachment, local: asLocal !== null, identities: [IP], operation }, (result) => {
      if (result.type !== 'error' || result.error !== error) fail(`instead of ${error} there is ${result.type === 'error' ? result.error : result.type}`)
    })
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
    const { reader, watches } = this.#replicas.first
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
        return { code: 0, users: this.#replicas.first.whoAmI(identities).map(({ scheme, id }) => `${scheme}:${id}`) }
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

  #resume(client: Client, step: StepOf<'setWatches'>): Reply {
    const all = WATCH_LISTS.flatMap((kind) => step[kind].map((path) => ({ path, kind })))
    this.#replicas.first.watches.resume(client, this.#changes.at(-1 - step.before) ?? (0 as Zxid), all)
    this.#tellMissed()
    return { code: 0 }
  }
}
