import type { Effects, ErrorCode, Input, MessageKind, Outcome, RoleName, Transfer, Write } from '@antiphon/consensus-core'
import { FAULT_KINDS, type FaultKind } from './profile.ts'

/** True: many runs must take it. A text: why no run does, or need not. */
type Expected = true | string

const NEVER_IN_A_SOUND_RUN = 'it is a violation'

// What is added to the product is missing in one of these tables until it is entered there: a type error.

const MESSAGES: Readonly<Record<MessageKind, Expected>> = {
  IDENTITY: true,
  FOUNDING: true,
  VOTE: true,
  CEPOCH: true,
  NEWEPOCH: true,
  'ACK-E': true,
  TRUNC: true,
  DIFF: true,
  SNAP: true,
  CHUNK: true,
  STORED: true,
  RECEIVED: true,
  NEWLEADER: true,
  'ACK-LD': true,
  'COMMIT-LD': true,
  PROPOSE: true,
  ACK: true,
  COMMIT: true,
  PING: true,
  PONG: true,
  READ: true,
  'READ-POINT': true,
  REGISTER: true,
  REQUESTS: true,
  RESEND: true,
  DIGEST: true,
  VERDICT: true,
  REBUILD: true,
  RETIRED: true,
}

const INPUTS: Readonly<Record<Input['kind'], Expected>> = {
  tick: true,
  message: true,
  propose: true,
  read: true,
  persisted: true,
  transferred: true,
  staged: true,
  applied: true,
  compacted: true,
  connection: true,
  digest: true,
  rebuilt: true,
}

const EFFECTS: Readonly<Record<keyof Effects, Expected>> = {
  discards: true,
  stagedAppends: true,
  writes: true,
  sends: true,
  transfers: true,
  abandons: true,
  cancels: true,
  receives: true,
  closes: true,
  refusals: 'all members have the same settings, and nobody else calls',
  commitTo: true,
  readable: true,
  quarantine: true,
  disputed: 'as long as a quorum is sound it can agree, and where none is the run ends',
  snapshotDue: true,
  role: true,
  fault: NEVER_IN_A_SOUND_RUN,
  wakeAt: 'every step has one',
}

const WRITES: Readonly<Record<keyof Omit<Write, 'ticket'>, Expected>> = {
  founding: true,
  install: true,
  truncateTo: true,
  append: true,
  epochs: true,
  afterwards: true,
}

const TRANSFERS: Readonly<Record<Transfer['mode'], Expected>> = { diff: true, snap: true }

const ROLES: Readonly<Record<RoleName, { readonly changed: Expected; readonly active: Expected; readonly answers: Expected }>> = {
  looking: { changed: true, active: 'nobody is active without a leader', answers: 'what is asked waits for a leader' },
  following: { changed: true, active: true, answers: true },
  leading: { changed: true, active: true, answers: true },
  observing: { changed: true, active: true, answers: true },
}

const INSIDE = 'no client of an ensemble is told so'
/** What clients may be told, besides what they asked for. */
const ANSWERS: Readonly<Record<ErrorCode, string | Readonly<Record<Exclude<Outcome, 'applied'>, Expected>>>> = {
  REFUSED: { rejected: true, unknown: 'a refusal has its place in the order' },
  NOT_READY: { rejected: 'clients wait until a member has started', unknown: 'it was never taken' },
  OVERLOADED: { rejected: true, unknown: 'it was never taken' },
  CLOSED: { rejected: true, unknown: true },
  TIMEOUT: { rejected: true, unknown: true },
  ABORTED: { rejected: 'what was not sent is sent again', unknown: true },
  RESULT_TOO_LARGE: 'it takes a snapshot, a long absence and many results at once: one run in thousands has that',
  TOO_LARGE: { rejected: 'it has a path of its own', unknown: 'it has its place in the order' },
  INVALID_ARGUMENT: INSIDE,
  INVALID_SETTINGS: INSIDE,
  WRONG_ENSEMBLE: INSIDE,
  UNKNOWN_PEER: INSIDE,
  UNAUTHENTICATED: INSIDE,
  VERSION_MISMATCH: INSIDE,
  FOLDER_IN_USE: INSIDE,
  FOLDER_FOREIGN: INSIDE,
  CORRUPT: INSIDE,
  DISK_FULL: INSIDE,
  DISK_FAILED: INSIDE,
  DIVERGED: INSIDE,
}

/** How a member comes back, how it stops, and what becomes of its snapshots. */
const RECOVERIES = [
  'opened empty',
  'opened founded',
  'opened with a snapshot',
  'opened without its newest snapshot',
  'opened with a snapshot alone', // the log begins at its end
  'opened with a compacted log',
  'opened with more than was durable',
  'opened without what was not durable',
  'opened in a place where it does not count',
  'refused to start: CORRUPT',
  'refused to start: DISK_FAILED',
  'refused to start: DISK_FULL',
  'stopped: CORRUPT',
  'stopped: DISK_FAILED',
  'stopped: DISK_FULL',
  'trouble CORRUPT',
  'trouble DISK_FULL',
  'crash within a write',
  'crash behind a step',
  'torn',
  'torn, and restarted',
  'snapshot due by entries',
  'snapshot due by bytes',
  'snapshot due by a rebuild',
  'snapshot',
  'compact',
  'staged',
  'too large: TOO_LARGE',
  'asked again: ok',
  'aftermath return',
  'aftermath hang',
  // Rule 14.
  'snap begun',
  'snap begun anew',
  'snap resumed',
  'snap resumed by another leader',
  'staged log continued',
  // Rules 12 and 17.
  'epoch change in place',
  'stream of a slow learner',
  'rejoin mid-stream',
  // Rule 22.
  'settled from the table',
  'origin retired',
  'origin retired, and jumped over',
  // Rules 23 and 24.
  'read by lease',
  'stamped the median',
  // Rule 28.
  'state spoiled',
  'quarantined',
  'rebuilt',
  'read of a flawed state',
  'no quorum is sound',
] as const

/** Counted, and not expected: whoever lags so far that it is sent a snapshot hardly ever has one of its own under way. The stores' conformance suite takes it. */
type Rare = 'snapshot void'

export type QuestionKind = 'write' | 'read' | 'local read'
const QUESTIONS: readonly QuestionKind[] = ['write', 'read', 'local read']

/** What a replica tells its log, and nobody else. */
export const TOLD: ReadonlySet<string> = new Set<(typeof RECOVERIES)[number]>([
  'settled from the table',
  'origin retired',
  'origin retired, and jumped over',
  'snapshot due by entries',
  'snapshot due by bytes',
  'snapshot due by a rebuild',
])

/** A way that a run can take. What stands in no table can not be counted. */
export type Path =
  | MessageKind
  | `input ${Input['kind']}`
  | `effect ${keyof Effects}`
  | `write ${keyof typeof WRITES}`
  | `transfer ${Transfer['mode']}`
  | `role ${RoleName}${'' | ' active'}`
  | `fault ${FaultKind}`
  | `answer ${ErrorCode} ${Outcome}`
  | `${QuestionKind} answered ${RoleName}`
  | (typeof RECOVERIES)[number]
  | Rare
  // Whatever else a member stops with, or tells, is excused or a violation where it happens.
  | `${'refused to start' | 'stopped' | 'failed to close' | 'too large'}: ${ErrorCode}`
  | `trouble ${ErrorCode}`
  | `asked again: ${string}`

/** A question that was answered, by the role of who answered it. */
export const ANSWERED: Readonly<Record<QuestionKind, Readonly<Record<RoleName, Path>>>> = {
  write: answered('write'),
  read: answered('read'),
  'local read': answered('local read'),
}

function answered(question: QuestionKind): Record<RoleName, Path> {
  return Object.fromEntries(keys(ROLES).map((role) => [role, `${question} answered ${role}`])) as Record<RoleName, Path>
}

/** Each path that a run of many seeds must have taken. */
export function expectedPaths(): Path[] {
  const found: Path[] = [...RECOVERIES]
  const add = (path: Path, expected: Expected): void => {
    if (expected === true) found.push(path)
  }
  for (const kind of keys(MESSAGES)) add(kind, MESSAGES[kind])
  for (const kind of keys(INPUTS)) add(`input ${kind}`, INPUTS[kind])
  for (const kind of keys(EFFECTS)) add(`effect ${kind}`, EFFECTS[kind])
  for (const part of keys(WRITES)) add(`write ${part}`, WRITES[part])
  for (const mode of keys(TRANSFERS)) add(`transfer ${mode}`, TRANSFERS[mode])
  for (const role of keys(ROLES)) {
    add(`role ${role}`, ROLES[role].changed)
    add(`role ${role} active`, ROLES[role].active)
    for (const question of QUESTIONS) add(`${question} answered ${role}`, question === 'local read' ? true : ROLES[role].answers)
  }
  for (const kind of FAULT_KINDS) add(`fault ${kind}`, true)
  for (const code of keys(ANSWERS)) {
    const outcomes = ANSWERS[code]
    if (typeof outcomes !== 'string') for (const outcome of keys(outcomes)) add(`answer ${code} ${outcome}`, outcomes[outcome])
  }
  return found
}

/** Those that were never taken, in alphabetical order. */
export function untaken(taken: { has(path: string): boolean }): string[] {
  return expectedPaths()
    .filter((path) => !taken.has(path))
    .sort()
}

function zeros<Name extends string>(of: Readonly<Record<Name, unknown>>): Record<Name, number> {
  return Object.fromEntries(keys(of).map((name) => [name, 0])) as Record<Name, number>
}

/** By names that many steps look up: a cell each, found once. */
interface Count {
  times: number
}

function counts<Name extends string>(of: Readonly<Record<Name, unknown>>): ReadonlyMap<Name, Count> {
  return new Map(keys(of).map((name) => [name, { times: 0 }]))
}

/** How often a run has taken which. */
export class Paths {
  readonly #counts = new Map<Path, Count>()
  readonly #inputs = counts(INPUTS)
  readonly #messages = counts(MESSAGES)
  readonly #effects = zeros(EFFECTS)
  readonly #writes = zeros(WRITES)

  count(path: Path): void {
    const count = this.#counts.get(path)
    if (count === undefined) this.#counts.set(path, { times: 1 })
    else count.times++
  }

  /** Behind every step of every core: written out, for what is looked up by its name costs more than the rest of the watching. */
  stepped(input: Input, effects: Effects): void {
    this.#inputs.get(input.kind)!.times++
    if (input.kind === 'message') this.#messages.get(input.message.kind)!.times++
    const taken = this.#effects
    if (effects.discards.length > 0) taken.discards++
    if (effects.stagedAppends.length > 0) taken.stagedAppends++
    if (effects.sends.length > 0) taken.sends++
    if (effects.abandons.length > 0) taken.abandons++
    if (effects.cancels.length > 0) taken.cancels++
    if (effects.receives.length > 0) taken.receives++
    if (effects.closes.length > 0) taken.closes++
    if (effects.refusals.length > 0) taken.refusals++
    if (effects.commitTo !== null) taken.commitTo++
    if (effects.readable.length > 0) taken.readable++
    if (effects.quarantine !== null) taken.quarantine++
    if (effects.disputed !== null) taken.disputed++
    if (effects.snapshotDue !== null) taken.snapshotDue++
    if (effects.fault !== null) taken.fault++
    if (effects.writes.length > 0) {
      taken.writes++
      for (const write of effects.writes) this.#wrote(write)
    }
    if (effects.transfers.length > 0) {
      taken.transfers++
      for (const { mode } of effects.transfers) this.count(`transfer ${mode}`)
    }
    if (effects.role !== null) {
      taken.role++
      this.count(`role ${effects.role.role}${effects.role.active ? ' active' : ''}`)
    }
  }

  #wrote(write: Write): void {
    const taken = this.#writes
    if (write.founding !== null) taken.founding++
    if (write.install !== null) taken.install++
    if (write.truncateTo !== null) taken.truncateTo++
    if (write.append.length > 0) taken.append++
    if (write.epochs !== null) taken.epochs++
    if (write.afterwards.length > 0) taken.afterwards++
  }

  /** All that were taken at least once. */
  taken(): Map<string, number> {
    const taken = new Map<string, number>()
    const add = (name: string, times: number): void => {
      if (times > 0) taken.set(name, times)
    }
    for (const [path, { times }] of this.#counts) add(path, times)
    for (const [kind, { times }] of this.#messages) add(kind, times)
    for (const [kind, { times }] of this.#inputs) add(`input ${kind}`, times)
    for (const kind of keys(EFFECTS)) add(`effect ${kind}`, this.#effects[kind])
    for (const part of keys(WRITES)) add(`write ${part}`, this.#writes[part])
    return taken
  }
}

function keys<Of extends object>(of: Of): (keyof Of & string)[] {
  return Object.keys(of) as (keyof Of & string)[]
}
