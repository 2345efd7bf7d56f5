import { type Before, before, Core, checkState, checkStep, type Effects, type Input, type Now } from '@antiphon/consensus-core'
import { Violation } from './violation.ts'

/** Called behind every step of every core; `breach` is the first invariant of that core which the step broke. */
export type CoreWatcher = (core: Core, input: Input, effects: Effects, breach: Violation | null) => void

/** Shows every step of every core in this process to `watcher`, until the returned function is called. The product knows nothing of it. */
export function watchCores(watcher: CoreWatcher): () => void {
  const original = Core.prototype.step
  Core.prototype.step = function step(this: Core, input: Input, now: Now): Effects {
    const earlier: Before = before(this)
    const effects = original.call(this, input, now)
    const breach = checkStep(this, earlier, effects) ?? checkState(this)
    watcher(this, input, effects, breach === null ? null : new Violation('core', breach))
    return effects
  }
  return () => {
    Core.prototype.step = original
  }
}
