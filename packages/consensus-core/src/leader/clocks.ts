import type { Leading } from '../state.ts'
import type { Step } from '../step.ts'
import type { Millis, PeerId } from '../types.ts'

// Rule 24: one clock that is ahead must not carry the time of the entries away, for it never goes back.

/** Counted when it is heard: a connection that breaks afterwards makes the clock behind it unknown to nobody. */
export function hearClock(step: Step, role: Leading, from: PeerId, wall: Millis): void {
  if (step.counted(from)) role.clocks.set(from, { offset: wall - step.now.monotonic, heardAt: step.now.monotonic })
}

/** Null of a member that does not lead, or has heard of no other clock. */
export function clockAheadOf(step: Step): Millis | null {
  const { role } = step.state
  return role.name === 'leading' && role.clocks.size > 0 ? aheadOfMedian(step, role) : null
}

/** What a batch is stamped with: our own wall clock, or the median when ours is too far ahead of it. */
export function stampOf(step: Step, role: Leading): Millis {
  const ahead = aheadOfMedian(step, role)
  return ahead > step.config.clockAheadMsMax ? step.now.wall - ahead : step.now.wall
}

/**
 * How far our wall clock is ahead of the median of the counted members' that were heard recently, ours included; whole milliseconds, negative when it is behind. Recently: not
 * long before the last that was heard, so that a pause of our own makes nobody's clock unknown. Of two in the middle the lower one counts: a time that is behind can be caught up with, one that is ahead cannot be taken back. A reading is late by its way here, so that the others seem
 * to be behind by as much.
 */
export function aheadOfMedian(step: Step, role: Leading): Millis {
  const { now, config } = step
  let newest = Number.NEGATIVE_INFINITY
  for (const { heardAt } of role.clocks.values()) newest = Math.max(newest, heardAt)
  const since = newest - step.ticks(config.initLimitTicks)
  const walls = [now.wall]
  for (const { offset, heardAt } of role.clocks.values()) if (heardAt >= since) insert(walls, Math.floor(offset + now.monotonic))
  return now.wall - walls[(walls.length - 1) >> 1]!
}

/** Into what is ascending: a sort would cost more than all of the rest, once for every batch. */
function insert(walls: Millis[], wall: Millis): void {
  let at = walls.push(wall) - 1
  for (; at > 0 && walls[at - 1]! > wall; at--) walls[at] = walls[at - 1]!
  walls[at] = wall
}
