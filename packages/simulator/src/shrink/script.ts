import { AntiphonError, peerId } from '@antiphon/ports'
import type { FaultEvent } from '../faults.ts'
import { FAULT_KINDS, type FaultKind, type Profile } from '../profile.ts'
import type { RunScript } from '../simulation.ts'
import type { Invariant } from '../violation.ts'
import { calmProfile } from './calm.ts'
import { PROMISES } from './promises.ts'

/** One run as text: what it needs to go the same way again, and what broke when it was written. */
export interface Script extends RunScript {
  readonly seed: number
  readonly invariant: Invariant
  /** What was found where the promise should have held. */
  readonly found: string
  /** Rows of the museum that it shows; none: it is sound, and stays for what was once found. */
  readonly bugs: readonly string[]
  /** For people: lines before all others. */
  readonly story: readonly string[]
}

const TEXT_MAX = 1 << 20
const MEMBERS_MAX = 16
const FAULT = /^([\d.]+) ([a-z-]+)(?: of member (\d+))?, ([\d.]+) ms, draw (\d+)$/
/** Told by other means than a line of their own. */
const APART: ReadonlySet<string> = new Set(['observers', 'faults'])
const SHAPES: Readonly<Record<string, unknown>> = { voters: [{ weight: 1, group: 0 }], skews: [{ rate: 1, wallOffsetMs: 0, timerSlackMs: 0 }], jumpers: [1] }

export function formatScript(script: Script): string {
  const { seed, invariant, found, bugs, story, profile, faults } = script
  const plain = leavesOf(calmProfile(profile.voters.length, profile.observers))
  const unlike = [...leavesOf(profile)].filter(([name, value]) => value !== plain.get(name)).map(([name, value]) => `with ${name} ${value}`)
  const lines = [
    ...story.map((line) => `# ${line}`),
    `seed ${seed}`,
    `members ${profile.voters.length} voters, ${profile.observers} observers`,
    `expected ${invariant}: ${PROMISES[invariant]}`,
    `found ${found.split('\n', 1)[0]}`,
    ...(bugs.length === 0 ? [] : [`bugs ${bugs.join(', ')}`]),
    ...unlike,
    ...faults.map(formatFault),
  ]
  return `${lines.join('\n')}\n`
}

function formatFault({ at, kind, lastsMs, victim, draw }: FaultEvent): string {
  return `${at} ${kind}${victim === null ? '' : ` of member ${victim}`}, ${lastsMs} ms, draw ${draw}`
}

/** @throws AntiphonError INVALID_ARGUMENT, with the line that cannot be read. */
export function parseScript(text: string): Script {
  if (text.length > TEXT_MAX) throw unreadable(0, `it is longer than ${TEXT_MAX} characters`)
  const story: string[] = []
  const faults: FaultEvent[] = []
  const told = new Map<string, string>()
  const settings: (readonly [line: number, name: string, value: string])[] = []
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim()
    const [word, rest] = cut(line)
    if (line === '') return
    if (word === '#') story.push(rest)
    else if (word === 'with') settings.push([index + 1, ...cut(rest)])
    else if (/^\d/.test(word)) faults.push(parseFault(index + 1, line))
    else if (told.has(word) || !['seed', 'members', 'expected', 'found', 'bugs'].includes(word))
      throw unreadable(index + 1, `"${word}" is unknown or told twice`)
    else told.set(word, rest)
  })
  const seed = Number(told.get('seed') ?? Number.NaN)
  if (!Number.isSafeInteger(seed) || seed < 0) throw unreadable(0, 'it has no line "seed N"')
  const [, voters, observers] = /^(\d+) voters, (\d+) observers$/.exec(told.get('members') ?? '') ?? []
  const counts = [Number(voters), Number(observers)] as const
  if (!(counts[0] >= 1 && counts[0] + counts[1] <= MEMBERS_MAX)) throw unreadable(0, `it has no line "members N voters, M observers", ${MEMBERS_MAX} at most`)
  const [invariant, ...expectation] = (told.get('expected') ?? '').split(':') as [Invariant, ...string[]]
  if (!Object.hasOwn(PROMISES, invariant) || expectation.length === 0) throw unreadable(0, 'it has no line "expected INVARIANT: ..."')
  const profile = calmProfile(...counts)
  for (const [line, name, value] of settings) set(profile, line, name, value)
  if (profile.voters.length !== counts[0] || profile.skews.length !== counts[0] + counts[1])
    throw unreadable(0, 'voters or skews are more or fewer than the members')
  return { seed, invariant, found: told.get('found') ?? '', bugs: told.get('bugs')?.split(', ') ?? [], story, profile, faults }
}

function parseFault(line: number, text: string): FaultEvent {
  const [, at, name, victim, lasts, draw] = FAULT.exec(text) ?? []
  const kind = FAULT_KINDS.find((known) => known === name) as FaultKind | undefined
  if (kind === undefined) throw unreadable(line, name === undefined ? 'it is no fault' : `there is no fault "${name}"`)
  const event = { at: Number(at), kind, lastsMs: Number(lasts), draw: Number(draw) }
  if (!Object.values(event).every((value) => typeof value === 'string' || Number.isFinite(value))) throw unreadable(line, 'a number cannot be read')
  if (victim !== undefined && !(Number(victim) >= 1 && Number(victim) <= MEMBERS_MAX)) throw unreadable(line, `there is no member ${victim}`)
  return { ...event, victim: victim === undefined ? null : peerId(Number(victim)) }
}

/** `name` is a field, or a field of a field: `network.delayHigh`. */
function set(profile: Profile, line: number, name: string, text: string): void {
  const [field, inner] = name.split('.', 2) as [keyof Profile, string | undefined]
  const holder = (inner === undefined ? profile : profile[field]) as unknown as Record<string, unknown> | undefined
  const key = inner ?? field
  if (APART.has(field) || !Object.hasOwn(profile, field) || holder === undefined || !Object.hasOwn(holder, key))
    throw unreadable(line, `a profile has no ${name}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable(line, `${text} is no JSON`)
  }
  if (!isLike(value, SHAPES[name] ?? holder[key])) throw unreadable(line, `${text} is no value of ${name}`)
  holder[key] = value
}

function isLike(value: unknown, model: unknown): boolean {
  if (typeof model === 'number') return typeof value === 'number' && Number.isFinite(value)
  if (Array.isArray(model)) return Array.isArray(value) && value.length <= MEMBERS_MAX && value.every((item) => isLike(item, model[0]))
  if (typeof model !== 'object' || model === null) return typeof value === typeof model
  if (typeof value !== 'object' || value === null) return false
  const keys = Object.keys(model)
  return (
    Object.keys(value).length === keys.length && keys.every((key) => isLike((value as Record<string, unknown>)[key], (model as Record<string, unknown>)[key]))
  )
}

/** Fields by name, as JSON; those of a plain object one by one. */
export function leavesOf(profile: Profile): ReadonlyMap<string, string> {
  const leaves = new Map<string, string>()
  for (const [name, value] of Object.entries(profile)) {
    if (APART.has(name)) continue
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [inner, leaf] of Object.entries(value)) leaves.set(`${name}.${inner}`, JSON.stringify(leaf))
    else leaves.set(name, JSON.stringify(value))
  }
  return leaves
}

function cut(line: string): [word: string, rest: string] {
  const at = line.indexOf(' ')
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).trim()]
}

function unreadable(line: number, why: string): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `the script cannot be read${line === 0 ? '' : `, line ${line}`}: ${why}`, {
    remedy: 'Correct the script, or write it again with `sim --shrink --write FILE`.',
  })
}
