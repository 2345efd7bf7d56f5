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

interface Taken<Of> {
  readonly expected: Expected
  readonly isTaken: (of: Of) => boolean
}

const EFFECTS: { readonly [Kind in keyof Effects]: Taken<Effects> } = {
  discards: { expected: true, isTaken: ({ discards }) => discards.length > 0 },
  stagedAppends: { expected: true, isTaken: ({ stagedAppends }) => stagedAppends.length > 0 },
  writes: { expected: true, isTaken: ({ writes }) => writes.length > 0 },
  sends: { expected: true, isTaken: ({ sends }) => sends.length > 0 },
  transfers: { expected: true, isTaken: ({ transfers }) => transfers.length > 0 },
  abandons: { expected: true, isTaken: ({ abandons }) => abandons.length > 0 },
  cancels: { expected: true, isTaken: ({ cancels }) => cancels.length > 0 },
  receives: { expected: true, isTaken: ({ receives }) => receives.length > 0 },
  closes: { expected: true, isTaken: ({ closes }) => closes.length > 0 },
  refusals: { expected: 'all members have the same settings, and nobody else calls', isTaken: ({ refusals }) => refusals.length > 0 },
  commitTo: { expected: true, isTaken: ({ commitTo }) => commitTo !== null },
  readable: { expected: true, isTaken: ({ readable }) => readable.length > 0 },
  quarantine: { expected: true, isTaken: ({ quarantine }) => quarantine !== null },
  disputed: { expected: 'as long as a quorum is sound it can agree, and where none is the run ends', isTaken: ({ disputed }) => disputed !== null },
  snapshotDue: { expected: true, isTaken: ({ snapshotDue }) => snapshotDue !== null },
  role: { expected: true, isTaken: ({ role }) => role !== null },
  fault: { expected: NEVER_IN_A_SOUND_RUN, isTaken: ({ fault }) => fault !== null },
  wakeAt: { expected: 'every step has one', isTaken: () => false },
}

const WRITES: { readonly [Part in keyof Omit<Write, 'ticket'>]: Taken<Write> } = {
  founding: { expected: true, isTaken: ({ founding }) => founding !== null },
  install: { expected: true, isTaken: ({ install }) => install !== null },
  truncateTo: { expected: true, isTaken: ({ truncateTo }) => truncateTo !== null },
  append: { expected: true, isTaken: ({ append }) => append.length > 0 },
  epochs: { expected: true, isTaken: ({ epochs }) => epochs !== null },
  afterwards: { expected: true, isTaken: ({ afterwards }) => afterwards.length > 0 },
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

type Question = 'write' | 'read' | 'local read'
const QUESTIONS: readonly Question[] = ['write', 'read', 'local read']

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
  | `${Question} answered ${RoleName}`
  | (typeof RECOVERIES)[number]
  | Rare
  // Whatever else a member stops with, or tells, is excused or a violation where it happens.
  | `${'refused to start' | 'stopped' | 'failed to close' | 'too large'}: ${ErrorCode}`
  | `trouble ${ErrorCode}`
  | `asked again: ${string}`

/** Each path that a run of many seeds must have taken. */
export function expectedPaths(): Path[] {
  const found: Path[] = [...RECOVERIES]
  const add = (path: Path, expected: Expected): void => {
    if (expected === true) found.push(path)
  }
  for (const kind of keys(MESSAGES)) add(kind, MESSAGES[kind])
  for (const kind of keys(INPUTS)) add(`input ${kind}`, INPUTS[kind])
  for (const kind of keys(EFFECTS)) add(`effect ${kind}`, EFFECTS[kind].expected)
  for (const part of keys(WRITES)) add(`write ${part}`, WRITES[part].expected)
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

const EFFECT_KINDS = keys(EFFECTS)
const WRITE_PARTS = keys(WRITES)
const STEP_PATHS: readonly Path[] = [...EFFECT_KINDS.map((kind): Path => `effect ${kind}`), ...WRITE_PARTS.map((part): Path => `write ${part}`)]

/** How often a run has taken which. */
export class Paths {
  readonly #counts = new Map<Path, number>()
  readonly #inputs = Object.fromEntries(keys(INPUTS).map((kind) => [kind, 0])) as Record<Input['kind'], number>
  /** By the places in `STEP_PATHS`. */
  readonly #steps: number[] = STEP_PATHS.map(() => 0)

  count(path: Path): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1)
  }

  stepped(input: Input, effects: Effects): void {
    this.#inputs[input.kind]++
    if (input.kind === 'message') this.count(input.message.kind)
    for (let i = 0; i < EFFECT_KINDS.length; i++) if (EFFECTS[EFFECT_KINDS[i]!].isTaken(effects)) this.#steps[i]!++
    for (const write of effects.writes)
      for (let i = 0; i < WRITE_PARTS.length; i++) if (WRITES[WRITE_PARTS[i]!].isTaken(write)) this.#steps[EFFECT_KINDS.length + i]!++
    for (const { mode } of effects.transfers) this.count(`transfer ${mode}`)
    if (effects.role !== null) this.count(`role ${effects.role.role}${effects.role.active ? ' active' : ''}`)
  }

  /** All that were taken at least once. */
  taken(): Map<string, number> {
    const taken = new Map<string, number>(this.#counts)
    for (const kind of keys(INPUTS)) if (this.#inputs[kind] > 0) taken.set(`input ${kind}`, this.#inputs[kind])
    this.#steps.forEach((times, i) => {
      if (times > 0) taken.set(STEP_PATHS[i]!, times)
    })
    return taken
  }
}

function keys<Of extends object>(of: Of): (keyof Of & string)[] {
  return Object.keys(of) as (keyof Of & string)[]
}
