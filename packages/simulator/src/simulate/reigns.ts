import { formatZxid, type PrimaryContext, type Zxid } from '@antiphon/ports'
import { HostTime, under } from './host-time.ts'
import type { Given, MachineEvent, Witness } from './recorder.ts'
import { difference, Replay, sameBytes } from './replay.ts'
import type { Entry, Flaw, Make } from './types.ts'

/** A reign as its machine saw it: all calls from `leading` to its end. */
interface Reign {
  readonly member: number
  readonly at: Zxid
  readonly given: Given
  readonly events: readonly MachineEvent[]
}

type Prepared = { readonly request: Uint8Array; readonly change: Uint8Array | null }

/** Reigns that are tried as lost ones: those that prepared most. */
const LOST_REIGNS = 4

/**
 * A reign prepares against what is applied and what it has itself prepared, and against nothing else. Two proofs: a fresh machine that is led through the same entries and the same calls prepares
 * the same; and a reign that is lost in its midst leaves nothing to the next one.
 */
export function checkReigns<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], witnesses: readonly Witness[]): Flaw | null {
  if (make().prepare === undefined) return null
  const reigns = witnesses.flatMap(reignsOf)
  for (const reign of reigns) {
    const flaw = again(make, entries, reign)
    if (flaw !== null) return flaw
  }
  const busiest = [...reigns].sort((a, b) => countOf(b) - countOf(a)).slice(0, LOST_REIGNS)
  for (const reign of busiest) {
    const flaw = loseInTheMidst(make, entries, reign)
    if (flaw !== null) return flaw
  }
  return null
}

function reignsOf({ member, events }: Witness): Reign[] {
  const reigns: Reign[] = []
  let current: MachineEvent[] | null = null
  for (const event of events) {
    if (event.kind === 'leading') {
      current = []
      reigns.push({ member, at: event.at, given: event.given, events: current })
    } else if (event.kind === 'abandon' || event.kind === 'restore') current = null
    else current?.push(event)
  }
  return reigns
}

function countOf({ events }: Reign): number {
  return events.filter(({ kind }) => kind === 'prepare').length
}

/** A machine that holds the entries up to where `reign` began, and has been told that it leads. */
function begun<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], at: Zxid, given: Given): Replay<Request, Result> {
  const replay = new Replay(make, 1)
  replay.applyEach(entries.filter(({ zxid }) => zxid <= at))
  call(given, (context) => replay.machine.leading?.(context))
  return replay
}

/** Makes the calls of a reign again; what it prepared. */
function relive<Request, Result>(
  replay: Replay<Request, Result>,
  entries: readonly Entry[],
  from: Zxid,
  events: readonly MachineEvent[],
): { prepared: Prepared[]; at: Zxid } {
  const { machine } = replay
  const prepared: Prepared[] = []
  let at = from
  for (const event of events) {
    switch (event.kind) {
      case 'prepare':
        prepared.push({ request: event.request, change: prepare(replay, event.request, event.given) })
        break
      case 'apply': {
        const { upTo } = event
        replay.apply(
          entries.filter(({ zxid }) => zxid > at && zxid <= upTo),
          true,
        )
        at = upTo
        break
      }
      case 'unprepare':
        machine.unprepare?.()
        break
      case 'tick':
        call(event.given, (context) => machine.tick?.(context))
        break
      case 'heard':
        machine.heard?.(event.from, event.note, event.monotonic)
        break
      default:
    }
  }
  return { prepared, at }
}

function prepare<Request, Result>({ machine }: Replay<Request, Result>, request: Uint8Array, given: Given): Uint8Array | null {
  try {
    return call(given, (context) => machine.prepare!(request.slice(), context)).slice()
  } catch {
    return null
  }
}

function call<T>(given: Given, work: (context: PrimaryContext) => T): T {
  const { epoch, zxid, time, monotonic, tickMs, changeBytesMax, drawn, wall, seed } = given
  let next = 0
  const context: PrimaryContext = { epoch, zxid, time, monotonic, tickMs, changeBytesMax, random: () => drawn[next++] ?? 0 }
  return under(new HostTime(wall, seed), () => work(context))
}

function again<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], { member, at, given, events }: Reign): Flaw | null {
  const { prepared } = relive(begun(make, entries, at, given), entries, at, events)
  const recorded = events.filter((event) => event.kind === 'prepare')
  const i = prepared.findIndex(({ change }, place) => !sameBytes(change, recorded[place]!.change))
  if (i < 0) return null
  const twice = relive(begun(make, entries, at, given), entries, at, events).prepared
  // Not even two fresh machines agree: what is prepared may depend on anything, if it stands in the change.
  if (!sameBytes(twice[i]!.change, prepared[i]!.change)) return null
  return {
    kind: 'not-abandoned',
    zxid: at === 0 ? null : at,
    explanation: `${tellReign(member, given, at)} prepares ${tellChange(recorded[i]!.change)} where a machine that has seen nothing but the entries prepares ${tellChange(prepared[i]!.change)}${tellDifference(recorded[i]!.change, prepared[i]!.change)}. ${REMEDY}`,
  }
}

/** The reign ends behind some of what it prepared; other entries, its own applied ones, stay. Then the machine leads again. */
function loseInTheMidst<Request, Result>(make: Make<Request, Result>, entries: readonly Entry[], { member, at, given, events }: Reign): Flaw | null {
  const places = events.flatMap(({ kind }, i) => (kind === 'prepare' ? [i + 1] : []))
  const requests = events.filter((event) => event.kind === 'prepare')
  for (const place of [places[0], places[places.length >> 1], places.at(-1)]) {
    if (place === undefined) continue
    const lost = begun(make, entries, at, given)
    const { at: applied, prepared } = relive(lost, entries, at, events.slice(0, place))
    lost.machine.abandon?.()
    call(given, (context) => lost.machine.leading?.(context))
    const fresh = begun(make, entries, applied, given)
    for (const { request, given: told } of requests) {
      const [expected, found] = [prepare(fresh, request, told), prepare(lost, request, told)]
      if (sameBytes(expected, found)) continue
      return {
        kind: 'not-abandoned',
        zxid: applied === 0 ? null : applied,
        explanation: `${tellReign(member, given, at)} prepares ${prepared.length} changes and is lost behind ${formatZxid(applied)}: abandon(), and leading() again. Then it prepares ${tellChange(found)} where a machine that never prepared them prepares ${tellChange(expected)}${tellDifference(found, expected)}. ${REMEDY}`,
      }
    }
  }
  return null
}

const REMEDY = 'In abandon() and in leading() forget everything that was prepared and not applied.'

function tellReign(member: number, given: Given, at: Zxid): string {
  return `the reign of member ${member} in epoch ${given.epoch}, which begins behind ${formatZxid(at)},`
}

function tellChange(change: Uint8Array | null): string {
  return change === null ? 'a refusal' : `a change of ${change.length} bytes`
}

function tellDifference(found: Uint8Array | null, expected: Uint8Array | null): string {
  return found === null || expected === null ? '' : `; they differ ${difference(found, expected)}`
}
