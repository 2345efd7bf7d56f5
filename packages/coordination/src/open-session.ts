import { type Clock, invalidArgument, type Random, ZERO } from '@antiphon/ports'
import { type Machines, type Replica, systemRandom } from '@antiphon/replica'
import { znodeError } from '@antiphon/znode-tree'
import { expired, moved } from './errors.ts'
import { hostOf } from './host.ts'
import { Root } from './paths.ts'
import { ReplicaSession } from './session.ts'
import { type Holding, localSessionId, SessionCore } from './session-core.ts'
import type { Session, SessionOptions } from './types.ts'

/** Where time and chance come from: the host's, unless a simulation puts its own here. */
export interface SessionSources {
  readonly clock?: Clock
  readonly random?: Random
}

const TIMEOUT_MS = 10_000
const KNOWN = new Set(['timeoutMs', 'chroot', 'resume', 'local', 'machine', 'identities', 'signal', 'clock', 'random'])

/**
 * A session on the znode tree of a replica in this process. Resolves when the ensemble knows it (a local one: at once).
 * @throws AntiphonError INVALID_ARGUMENT; REFUSED with SESSION_EXPIRED, of a session that was to be resumed; those of `Replica.propose`
 */
export async function openSession<M extends Machines>(replica: Replica<M>, options: SessionOptions & SessionSources = {}): Promise<Session> {
  validate(options)
  const host = hostOf(replica as unknown as Replica, options.machine)
  const clock = options.clock ?? host.clock
  const holding = await hold()
  // Both may have been applied together, its beginning here and its end, before anybody here could listen.
  if (holding.attachment !== ZERO) {
    const held = host.tree.session(holding.id)
    if (held === null) throw expired()
    if (held.attachment !== holding.attachment) throw moved()
  }
  return new ReplicaSession(new SessionCore(host, holding, options.identities ?? [], clock), new Root().below(options.chroot ?? '/'))

  async function hold(): Promise<Holding> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const peer = replica.id
    if (options.local === true) {
      const id = localSessionId(peer, options.random ?? systemRandom())
      const { sessionTimeoutMsMin, sessionTimeoutMsMax } = host.tree.options
      const withinBounds = Math.min(Math.max(Math.trunc(timeoutMs), sessionTimeoutMsMin), sessionTimeoutMsMax)
      return { id, password: new Uint8Array(16), timeoutMs: withinBounds, attachment: ZERO }
    }
    const limits = options.signal === undefined ? {} : { signal: options.signal }
    const { resume } = options
    const result = await host.propose(
      resume === undefined
        ? { kind: 'createSession', peer, timeoutMs, id: null }
        : { kind: 'attachSession', session: resume.id, password: resume.password, peer, timeoutMs },
      limits,
    )
    if (result.type === 'error') throw znodeError(result.error, null, resume === undefined ? undefined : 'there is no such session, or the password is another')
    if (result.type !== 'session') throw new TypeError(`a session was asked for, and ${result.type} came`)
    return { id: result.session, password: result.password, timeoutMs: result.timeoutMs, attachment: result.zxid }
  }
}

function validate(options: SessionOptions & SessionSources): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument('the options of a session are an object')
  for (const name of Object.keys(options)) if (!KNOWN.has(name)) throw invalidArgument(`a session has no option \`${name}\``, `Use ${[...KNOWN].join(', ')}.`)
  const { timeoutMs, resume, local, identities } = options
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) throw invalidArgument(`\`timeoutMs\` is ${timeoutMs}, not a positive number`)
  if (local !== undefined && typeof local !== 'boolean') throw invalidArgument('`local` is true or false')
  if (identities !== undefined && !(Array.isArray(identities) && identities.every(isIdentity)))
    throw invalidArgument('`identities` is an array of { scheme, id }, both texts')
  if (resume === undefined) return
  if (local === true) throw invalidArgument('a session that is resumed is not local')
  if (typeof resume.id !== 'bigint' || !(resume.password instanceof Uint8Array) || resume.password.length !== 16)
    throw invalidArgument('`resume` wants the id of a session, a bigint, and its password, 16 bytes')
}

function isIdentity(identity: unknown): boolean {
  const { scheme, id } = (identity ?? {}) as Record<string, unknown>
  return typeof scheme === 'string' && typeof id === 'string'
}
