import type { Start } from './bounds.ts'
import * as E from './events.ts'
import * as L from './layout.ts'
import { ALL_SURVIVE, type Model } from './model.ts'

/** What happens by itself, sooner rather than later. */
const CALM = [E.DELIVER, E.FLUSH, E.STREAM, E.NOTICE, E.CONNECT]
const STEPS_MAX = 10_000

/** The events that lead from nothing to `start`, and the state there. */
export function begin(model: Model, start: Start): { readonly state: L.State; readonly events: readonly E.Event[] } {
  const state = model.unborn(start !== 'fresh')
  const events: E.Event[] = []
  const happen = (kind: number, a: number, b = 0): void => {
    const event = E.eventOf(kind, a, b)
    events.push(event)
    model.apply(state, event)
  }
  /** Until nothing is left to do, but on link `held`. */
  const calm = (held = -1): void => {
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      const possible: E.Event[] = []
      model.events(state, possible)
      const next = CALM.flatMap((kind) => possible.filter((event) => E.kindOf(event) === kind && (kind !== E.DELIVER || E.firstOf(event) !== held)))[0]
      if (next === undefined) return
      events.push(next)
      model.apply(state, next)
    }
    throw new Error('events beget events without end')
  }
  const leader = (): number => {
    calm()
    for (let member = 0; member < L.MEMBERS; member++) if (state[L.memberAt(member)] !== 0 && model.cores.canPropose(state[L.memberAt(member)]!)) return member
    throw new Error('nobody leads, without any trouble')
  }

  model.beginAt(null)
  for (let member = 0; member < L.MEMBERS; member++) happen(E.START, member)
  for (let link = 0; link < L.LINKS.length; link++) happen(E.CONNECT, link)
  if (start !== 'fresh' && start !== 'founded') leader()
  if (start === 'committed') {
    happen(E.PROPOSE, leader())
    calm()
  }
  if (start === 'lagging' || start === 'orphaned') {
    const leading = leader()
    const lagging = leading === 0 ? 1 : 0
    happen(E.PROPOSE, leading)
    calm(L.linkBetween(leading, lagging))
    if (start === 'orphaned') {
      happen(E.CRASH, leading, ALL_SURVIVE)
      for (let other = 0; other < L.MEMBERS; other++) if (other !== leading) happen(E.NOTICE, L.linkBetween(leading, other), other < leading ? 0 : 1)
    }
  }
  if (start === 'divided') {
    const old = leader()
    happen(E.PROPOSE, old)
    happen(E.FLUSH, old)
    for (let other = 0; other < L.MEMBERS; other++) if (other !== old) happen(E.LOSE, L.linkBetween(old, other), other < old ? 0 : 1)
    happen(E.CRASH, old, ALL_SURVIVE)
    leader()
  }
  model.beginAt(state)
  return { state, events }
}
