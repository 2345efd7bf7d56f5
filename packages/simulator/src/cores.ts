import { type Before, before, Core, checkState, checkStep, checkTail, type Effects, type Input, type Now, type RoleName } from '@antiphon/consensus-core'
import { Violation } from './violation.ts'

/** Called behind every step of every core; `breach` is the first invariant of that core which the step broke. */
export type CoreWatcher = (core: Core, input: Input, effects: Effects, breach: Violation | null) => void

/** What a step can not change, and what changes step by step, is looked at as a whole once in so many steps, and at the end of a run. */
const FULL_EVERY = 100

let steps = 0
let watcher: CoreWatcher | null = null
let installed = false

/** Shows every step of every core in this process to `watch`, until the returned function is called. The product knows nothing of it. */
export function watchCores(watch: CoreWatcher): () => void {
  watcher = watch
  steps = 0
  if (!installed) install()
  return () => {
    if (watcher === watch) watcher = null
  }
}

/** As a status page has it. */
export function roleOf({ state: { role } }: Core): RoleName {
  return role.name === 'following' && !role.counted ? 'observing' : role.name
}

/** Once in a process: each change of a prototype undoes what the engine has compiled for it. */
function install(): void {
  installed = true
  const original = Core.prototype.step
  Core.prototype.step = function step(this: Core, input: Input, now: Now): Effects {
    if (watcher === null) return original.call(this, input, now)
    const earlier: Before = before(this)
    const effects = original.call(this, input, now)
    const breach = checkStep(this, earlier, effects) ?? (++steps % FULL_EVERY === 0 ? checkState(this) : checkTail(this))
    watcher?.(this, input, effects, breach === null ? null : new Violation('core', breach))
    return effects
  }
}
