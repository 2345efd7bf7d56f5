import type { Acl, Identity, WatchEventType } from '@antiphon/znode-tree'
import { type Difference, NEWEST } from '../differences.ts'
import {
  isHeld,
  type Jump,
  makesEphemeral,
  type Operation,
  type Program,
  type Read,
  type Step,
  WATCH_LISTS,
  WATCHER_TYPES,
  type WatchLists,
  type Write,
} from '../program.ts'
import type { PartReply, Reply, Seen, Transcript } from '../transcript.ts'
import { digestIdentity, need, permits } from './access.ts'
import { CODES, Refused, refuse } from './codes.ts'
import { inOrder, type Missed, missedBy } from './missed.ts'
import type { Nodes } from './nodes.ts'
import { Accepted } from './quota.ts'
import { type Change, childrenOf, Draft, EMPTY, found, multi, parentOf, type Requester, shown, statOf } from './tree.ts'
import { type ModelWatches, NewestWatches, WatchesOf38 } from './watches.ts'

/** When step `step` happens. */
export const timeOf = (step: number): number => 1_700_000_000_000 + 10 * step

/** Three numbers behind each are free, for what a proof asks besides; or that of a write of a local session is the second, behind the session's own. */
export const zxidOf = (step: number): number => 2 ** 32 + 4 * (step + 1)

const IP: Identity = { scheme: 'ip', id: '127.0.0.1' }
const NOBODY: Requester = { session: 0n, identities: [IP] }

/** ZooKeeper, small and slow: what a program's clients see. */
export class Model {
  readonly seen: Seen[][]
  nodes: Nodes = EMPTY
  readonly #differences: ReadonlySet<Difference>
  readonly #watches: ModelWatches
  readonly #who: Requester[]
  /** As of the last step that was not held. */
  #applied: Nodes = EMPTY
  #accepted: Accepted = new Accepted(EMPTY)
  /** By the step that opened it. */
  readonly sessions = new Map<number, bigint>()
  /** Those that only their clients know of; how many of them have become global. */
  readonly #local = new Set<bigint>()
  becameGlobal = 0
  #changes: number[] = [0]
  /** The last entry; those that no client asked for stand behind their step's. */
  #last = 0
  #step = 0

  constructor(clients: number, differences: ReadonlySet<Difference> = NEWEST) {
    this.#differences = differences
    this.#watches = differences.has('one mode for each watch') ? new WatchesOf38() : new NewestWatches()
    this.seen = Array.from({ length: clients }, () => [])
    this.#who = Array.from({ length: clients }, () => ({ session: 0n, identities: [] }))
  }

  take(step: Step): void {
    const held = isHeld(step, this.#local.has(this.#who[step.client]!.session))
    const reply = this.#answer(step)
    if (reply !== null) this.seen[step.client]!.push({ kind: 'reply', step: this.#step, reply })
    if (!held) this.#settle()
    this.#step++
  }

  #settle(): void {
    this.#applied = this.nodes
    this.#accepted = new Accepted(this.nodes)
  }

  #answer(step: Step): Reply | null {
    const { client } = step
    const who = this.#who[client]!
    switch (step.op) {
      case 'create':
      case 'delete':
      case 'setData':
      case 'setAcl':
      case 'multi':
        return this.#write(step, who)
      case 'open': {
        const session = BigInt(this.sessions.size + 1)
        this.sessions.set(this.#step, session)
        this.#who[client] = { session, identities: [IP] }
        if (step.local !== true || this.#differences.has('global sessions alone')) return { code: 0, zxid: this.#burn(), session, passwordIsJavas: true }
        this.#local.add(session)
        this.#last = zxidOf(this.#step) + 2
        return { code: 0, session }
      }
      case 'close':
      case 'expire':
        return this.#close(client, who)
      case 'reattach':
      case 'intrude':
        if (this.#local.has(who.session)) {
          this.#last = zxidOf(this.#step)
          return { code: CODES.SESSION_EXPIRED }
        }
        this.#watches.drop(client)
        this.#who[client] = { ...who, identities: [IP] }
        this.#last = zxidOf(this.#step) + 1
        return { code: step.op === 'intrude' ? CODES.SESSION_EXPIRED : 0 }
      case 'auth': {
        const shows = digestIdentity(step.credential)
        if (!who.identities.some(({ id }) => id === shows.id)) this.#who[client] = { ...who, identities: [...who.identities, shows] }
        return { code: 0 }
      }
      case 'abandon':
      case 'unprepare':
      case 'restore':
      case 'lead':
        return null
      case 'jump':
        this.#jump(step)
        return null
      default:
        return this.#tried(() => this.#look(step, client, who))
    }
  }

  #tried(run: () => Reply): Reply {
    try {
      return run()
    } catch (error) {
      if (error instanceof Refused) return { code: error.code }
      throw error
    }
  }

  #burn(behind = 0): number {
    this.#last = zxidOf(this.#step) + behind
    this.#changes.push(this.#last)
    return this.#last
  }

  #write(write: Write, who: Requester): Reply {
    const becomesGlobal = makesEphemeral(write) && this.#local.delete(who.session)
    if (becomesGlobal) {
      this.becameGlobal++
      this.#settle()
    }
    const zxid = this.#burn(becomesGlobal ? 1 : 0)
    const draft = this.#draft(zxid)
    const reply = this.#tried(() => {
      if (write.op !== 'multi') return draft.write(write, who)
      const { parts, done } = multi(draft, write.parts, who)
      if (!done) draft.changes.length = 0
      return { code: 0, parts: parts.map((part, at) => this.#partOfMulti(part, write.parts[at]!)), ...(done ? {} : { failed: true }) }
    })
    const { failed, ...told } = reply as Reply & { failed?: boolean }
    if (told.code === 0 && failed !== true) {
      this.nodes = draft.nodes
      this.#accepted = draft.accepted
    }
    this.#fire(draft.changes, zxid, null)
    return { ...told, zxid }
  }

  #draft(zxid: number): Draft {
    const accepted = this.#differences.has('quotas as applied') ? null : this.#accepted
    return new Draft(this.nodes, this.#applied, accepted, zxid, timeOf(this.#step))
  }

  #partOfMulti(reply: PartReply, part: { op: string; mode?: string }): PartReply {
    const plain = part.op === 'create' && !part.mode!.endsWith('with-ttl') && part.mode !== 'container'
    if (!plain || !this.#differences.has('create2 in a multi')) return reply
    const { stat: _, ...rest } = reply
    return rest
  }

  #close(client: number, { session }: Requester): Reply {
    if (this.#local.delete(session)) {
      this.#leave(client)
      return { code: 0 }
    }
    const zxid = this.#burn()
    const draft = this.#draft(zxid)
    for (const path of this.#ephemerals(session)) draft.remove(path)
    this.nodes = draft.nodes
    this.#accepted = draft.accepted
    this.#fire(draft.changes, zxid, this.#step)
    this.#last = zxid + 1
    this.#leave(client)
    return { code: 0, zxid }
  }

  #leave(client: number): void {
    this.#watches.drop(client)
    this.#who[client] = { session: 0n, identities: [] }
  }

  /** Nobody is told of the changes as they are made; then all are told what they have missed. */
  #jump({ writes }: Jump): void {
    const before = this.nodes
    this.#settle()
    for (const [index, write] of writes.entries()) {
      this.#last = zxidOf(this.#step) + index
      const draft = this.#draft(this.#last)
      if (this.#tried(() => draft.write(write, NOBODY)).code !== 0) continue
      this.nodes = draft.nodes
      this.#accepted = draft.accepted
    }
    for (const client of this.#who.keys()) {
      const lists = this.#watches.lists(client, before)
      this.#watches.drop(client)
      this.#catchUp(client, zxidOf(this.#step) - 1, lists)
    }
  }

  #ephemerals(session: bigint): string[] {
    return [...this.nodes]
      .filter(([, { owner }]) => owner === session)
      .map(([path]) => path)
      .sort()
  }

  #fire(changes: readonly Change[], zxid: number, closing: number | null): void {
    for (const { type, path, acl, parentAcl } of changes) {
      for (const client of this.#watches.node(path, type === 'deleted')) this.#tell(client, type, path, acl, zxid, closing)
      if (type === 'dataChanged') continue
      const parent = shown(parentOf(path))
      for (const client of this.#watches.children(parent)) this.#tell(client, 'childrenChanged', parent, parentAcl, zxid, closing)
    }
  }

  #tell(client: number, type: WatchEventType, path: string, acl: readonly Acl[] | null, zxid: number | null, closing: number | null): void {
    if (acl !== null && !permits(acl, 1, this.#who[client]!.identities)) return
    this.seen[client]!.push({ kind: 'event', type, path, zxid, ...(closing === null ? {} : { closing }) })
  }

  #look(step: Read | Extract<Operation, { op: 'addWatch' | 'removeWatches' | 'checkWatches' | 'setWatches' }>, client: number, who: Requester): Reply {
    const { nodes } = this
    switch (step.op) {
      case 'exists': {
        if (step.path.includes('\0')) refuse(CODES.BAD_ARGUMENTS)
        const node = nodes.get(step.path === '/' ? '' : step.path)
        if (node !== undefined && !this.#differences.has('exists without permission')) need(node.acl, 1, who.identities)
        if (step.watch) this.#watches.add(client, step.path, 'data')
        return { code: 0, stat: statOf(nodes, step.path) }
      }
      case 'getData': {
        const { data } = this.#readable(step.path, who)
        if (step.watch) this.#watches.add(client, step.path, 'data')
        return { code: 0, data, stat: statOf(nodes, step.path) }
      }
      case 'children': {
        this.#readable(step.path, who)
        if (step.watch) this.#watches.add(client, step.path, 'children')
        const children = childrenOf(nodes, step.path)
        return step.stat ? { code: 0, children, stat: statOf(nodes, step.path) } : { code: 0, children }
      }
      case 'getAcl': {
        const { acl } = found(nodes, step.path)
        need(acl, 17, who.identities)
        const all = permits(acl, 16, who.identities)
        const masked = acl.map((entry) => (entry.scheme === 'digest' && !all ? { ...entry, id: entry.id.replace(/:.*/, ':x') } : entry))
        return { code: 0, acl: masked, stat: statOf(nodes, step.path) }
      }
      case 'countDescendants': {
        this.#readable(step.path, who)
        const prefix = step.path === '/' ? '/' : `${step.path}/`
        return { code: 0, count: [...nodes.keys()].filter((path) => path.startsWith(prefix)).length }
      }
      case 'sync':
        return { code: 0, path: step.path }
      case 'ephemerals': {
        const prefix = (step.prefix ?? '').trim()
        return { code: 0, paths: this.#ephemerals(who.session).filter((path) => prefix === '' || prefix === '/' || path.startsWith(step.prefix!)) }
      }
      case 'multiRead':
        return {
          code: 0,
          parts: step.parts.map(({ op, path }) =>
            this.#tried(() => {
              const { data } = this.#readable(path, who)
              return op === 'children' ? { code: 0, children: childrenOf(nodes, path) } : { code: 0, data, stat: statOf(nodes, path) }
            }),
          ),
        }
      case 'whoAmI':
        return { code: 0, users: who.identities.map(({ scheme, id }) => `${scheme}:${scheme === 'digest' ? id.split(':')[0] : id}`) }
      case 'addWatch':
        this.#watches.add(client, step.path, step.recursive ? 'recursive' : 'persistent')
        return { code: 0 }
      case 'removeWatches':
      case 'checkWatches': {
        if (WATCHER_TYPES[step.type] > 3 && this.#differences.has('no types Persistent and PersistentRecursive')) refuse(CODES.MARSHALLING_ERROR)
        const check = this.#differences.has('checkWatches answers for others') ? 'answers' : 'has'
        return { code: this.#watches[step.op === 'removeWatches' ? 'remove' : check](client, step.path, step.type) ? 0 : CODES.NO_WATCHER }
      }
      case 'setWatches':
        this.#catchUp(client, this.#changes.at(-1 - step.before) ?? 0, step)
        return { code: 0 }
    }
  }

  #catchUp(client: number, since: number, lists: WatchLists): void {
    const asListed = this.#differences.has('setWatches as listed')
    const mayRead = (acl: readonly Acl[]): boolean => permits(acl, 1, this.#who[client]!.identities)
    const missed: Missed[] = []
    for (const kind of WATCH_LISTS)
      for (const path of lists[kind]) {
        const stays = kind === 'persistent' || kind === 'recursive'
        const found = stays && asListed ? [] : missedBy(this.nodes, kind, path, since, this.#last, mayRead)
        missed.push(...found)
        if (found.length === 0 || stays) this.#watches.add(client, path, kind === 'exists' ? 'data' : kind)
      }
    for (const { type, path, acl } of asListed ? missed : inOrder(missed)) this.#tell(client, type, path, asListed ? null : acl, null, null)
  }

  #readable(path: string, who: Requester): ReturnType<typeof found> {
    const node = found(this.nodes, path)
    need(node.acl, 1, who.identities)
    return node
  }
}

export function runModel(program: Program, clients: number, differences: ReadonlySet<Difference> = NEWEST): Transcript {
  const model = new Model(clients, differences)
  for (const step of program) model.take(step)
  return model.seen
}
