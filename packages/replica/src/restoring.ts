import type { Core, Input, Quarantine } from '@antiphon/consensus-core'
import { AntiphonError, type Clock, corrupt, type LogStore } from '@antiphon/ports'
import type { Applier } from './applier.ts'
import { diverged, messageOf } from './errors.ts'
import type { Announcer } from './events.ts'
import type { Forwarding } from './forwarding.ts'
import type { Meters } from './meters.ts'
import type { Resolved } from './settings.ts'
import { Slicer } from './slicer.ts'
import { restoreNewest, type Snapshots } from './snapshots.ts'

export interface RestoringHost {
  readonly resolved: Resolved
  readonly store: LogStore
  readonly clock: Clock
  readonly announcer: Announcer
  readonly meters: Meters | null
  readonly core: Core
  readonly applier: Applier
  readonly snapshots: Snapshots
  readonly forwarding: Forwarding
  readonly isStopped: boolean
  step(input: Input): void
  endTurn(): void
  /** Something that goes on by itself. */
  run(task: Promise<void>): void
  stop(fault: AntiphonError): void
}

/** How another state takes the place of the machines': one that a leader sent, or one that a quorum found to be right where ours was not (rule 28). */
export class Restoring {
  readonly #host: RestoringHost
  #underWay: Promise<void> = Promise.resolve()

  constructor(host: RestoringHost) {
    this.#host = host
  }

  /** Rule 28: nothing of this state is shown, kept or built upon any more. */
  quarantine(quarantine: Quarantine): void {
    const { applier, snapshots, forwarding, announcer, meters } = this.#host
    applier.quarantine()
    snapshots.quarantine()
    forwarding.onQuarantined()
    announcer.quarantined(quarantine)
    meters?.quarantines.add(1)
  }

  /** The newest snapshot goes into the machines, one after another if there are several. `rebuild`: the transfer that brought it; null: a write installed it. */
  restore(rebuild: number | null): void {
    this.#underWay = this.#underWay.then(() => this.#restore(rebuild))
    this.#host.run(this.#underWay)
  }

  async #restore(rebuild: number | null): Promise<void> {
    const host = this.#host
    const { core, store, resolved, clock } = host
    // An install that was quicker has replaced the state already.
    if (host.isStopped || (rebuild !== null && core.state.quarantined === null)) return
    try {
      const restored = await restoreNewest(store, resolved, core.state.founding?.ensembleId ?? null, new Slicer(clock, resolved.sliceMs))
      if (host.isStopped) return
      if (restored === null) throw corrupt('the store has no snapshot behind an install or a rebuild')
      const { meta, origins } = restored
      host.applier.reset(meta.zxid, meta.checksum, meta.time, origins, rebuild === null)
      host.snapshots.reset()
      host.forwarding.onJump(origins)
      if (core.state.quarantined !== null) {
        host.step({ kind: 'rebuilt', transfer: rebuild ?? 0, snapshot: meta })
        host.announcer.rebuilt(meta.zxid)
        host.run(host.snapshots.forgetOlder())
      }
      host.step({ kind: 'applied', upTo: meta.zxid })
    } catch (error) {
      host.stop(error instanceof AntiphonError ? error : diverged(`an installed snapshot could not be restored: ${messageOf(error)}`, {}, error))
    }
    host.endTurn()
  }
}
