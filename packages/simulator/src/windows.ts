import type { Core, Effects, Input } from '@antiphon/consensus-core'
import { formatZxid, type PeerId, type Zxid } from '@antiphon/ports'
import { Violation } from './violation.ts'

/**
 * What rules 17 and 27 promise, looked at from outside: what is proposed and not committed fits a window, and so does what is on its way to one learner, but for one run more; whoever counts nowhere is
 * sent committed entries only.
 */
export class WindowWatch {
  readonly #windowBytes: number
  /** Of each learner that is streamed to: where the last piece began. */
  readonly #pieces = new WeakMap<object, Zxid>()

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes
  }

  stepped(member: PeerId, core: Core, input: Input, effects: Effects): Violation | null {
    const { role, committed } = core.state
    if (role.name !== 'leading') return null
    if (input.kind === 'propose' && effects.writes.length > 0) {
      const bytes = bytesBetween(core, committed, core.state.history.last)
      if (bytes > this.#windowBytes) return breach(member, `has ${bytes} bytes that are not committed`, this.#windowBytes)
    }
    for (const { to, message } of effects.sends) {
      if (message.kind !== 'PROPOSE') continue
      const learner = role.learners.get(to)
      if (learner === undefined) continue
      if (!learner.counted && message.run.last > committed) return uncommitted(member, to, message.run.last)
      if (learner.streaming) continue
      const bytes = bytesBetween(core, learner.acked > learner.welcomedAt ? learner.acked : learner.welcomedAt, learner.sent)
      if (bytes > this.#windowBytes + message.run.bytes.length) return breach(member, `has ${bytes} bytes on their way to member ${to}`, this.#windowBytes)
    }
    for (const { to, mode, after, upTo, bytesMax } of effects.transfers) {
      const learner = role.learners.get(to)
      if (mode !== 'diff' || learner === undefined) continue
      if (!learner.counted && upTo > committed && upTo > after) return uncommitted(member, to, upTo)
      if (!learner.streaming) continue
      // The piece before may still be on its way, and nothing before that.
      const before = this.#pieces.get(learner)
      this.#pieces.set(learner, after)
      if (bytesMax * 2 > this.#windowBytes + 1) return breach(member, `streams ${bytesMax} bytes at once to member ${to}`, this.#windowBytes)
      if (before !== undefined && learner.acked < before)
        return new Violation(
          'window',
          `member ${member} streams on to member ${to}, which has acknowledged ${formatZxid(learner.acked)} and not ${formatZxid(before)}`,
        )
    }
    return null
  }
}

/** Of the runs in memory that hold entries in (after, upTo], whole. */
function bytesBetween(core: Core, after: Zxid, upTo: Zxid): number {
  const { runs, ends, head } = core.state.history.recent
  const from = firstAbove(runs, head, after)
  let to = firstAbove(runs, head, upTo)
  if (to < runs.length && runs[to]!.previous < upTo) to++
  return to <= from ? 0 : ends[to - 1]! - ends[from]! + runs[from]!.bytes.length
}

/** The place of the first run that ends above `zxid`. */
function firstAbove(runs: readonly { readonly last: Zxid }[], head: number, zxid: Zxid): number {
  let low = head
  let high = runs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (runs[middle]!.last > zxid) high = middle
    else low = middle + 1
  }
  return low
}

function breach(member: PeerId, what: string, windowBytes: number): Violation {
  return new Violation('window', `member ${member} ${what}, where a window has ${windowBytes}`)
}

function uncommitted(member: PeerId, to: PeerId, zxid: Zxid): Violation {
  return new Violation('window', `member ${member} sends ${formatZxid(zxid)}, which is not committed, to member ${to}, which counts nowhere`)
}
