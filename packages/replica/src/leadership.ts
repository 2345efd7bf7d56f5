import type { Primary, Run } from '@antiphon/consensus-core'
import type { AntiphonError, Clock, Random } from '@antiphon/ports'
import type { Applier } from './applier.ts'
import { diverged, machineThrew } from './errors.ts'
import type { Forwarding } from './forwarding.ts'
import { Inbox } from './inbox.ts'
import type { Links } from './links.ts'
import type { Meters } from './meters.ts'
import { Reign } from './reign.ts'
import type { Resolved } from './settings.ts'

export interface LeadershipHost {
  readonly resolved: Resolved
  readonly clock: Clock
  readonly random: Random
  readonly forwarding: Forwarding
  readonly links: Links
  readonly applier: Applier
  readonly meters: Meters | null
  /** The core's word on what may be prepared now. */
  primary(): Primary | null
  /** Steps it into the core. False: it was not taken. */
  propose(run: Run): boolean
  flushSoon(): void
  trouble(error: AntiphonError): void
  stop(fault: AntiphonError): void
}

/**
 * What a replica holds while it leads: from the moment it is established an inbox for what others ask; from the moment its history is applied a reign that prepares and
 * frames (rule 20). A machine that throws where it must not stops the replica.
 */
export class Leadership {
  readonly #host: LeadershipHost
  #inbox: Inbox | null = null
  #reign: Reign | null = null

  constructor(host: LeadershipHost) {
    this.#host = host
  }

  /** Null unless established. */
  get inbox(): Inbox | null {
    return this.#inbox
  }

  get isReigning(): boolean {
    return this.#reign !== null
  }

  /** Is there anything that was left for want of room? */
  get hasWaiting(): boolean {
    return this.#reign?.hasWaiting === true
  }

  establish(): void {
    this.#inbox = new Inbox(this.#host.resolved.queueBytesMax)
  }

  /** Once a tick. True while the machines may be heard and asked. */
  tick(): boolean {
    const primary = this.#reign === null ? null : this.#host.primary()
    if (primary !== null) this.#reign?.tick(primary)
    return primary !== null
  }

  /** Begins the reign once the initial history is applied. */
  beginWhenApplied(): void {
    const { resolved, clock, random, forwarding, links, applier, trouble } = this.#host
    if (this.#inbox === null || this.#reign !== null) return
    const primary = this.#host.primary()
    if (primary === null) return
    const { machines, requestBytesMax: changeBytesMax, originWindow, retireOriginTicks } = resolved
    const { tickMs } = resolved.core
    try {
      this.#reign = new Reign(
        { machines, forwarding, links, random, clock, tickMs, changeBytesMax, originWindow, retireOriginTicks, trouble },
        this.#inbox,
        primary,
        applier.table,
        !applier.declared,
      )
      this.#host.flushSoon()
    } catch (thrown) {
      this.#host.stop(machineThrew('of this replica', 'leading', thrown))
    }
  }

  /** Frames and proposes what waits, run by run, until nothing does or the slice is used up. */
  propose(): void {
    const { clock, resolved, meters } = this.#host
    const reign = this.#reign
    const until = clock.monotonic() + resolved.sliceMs
    while (reign !== null && this.#reign === reign) {
      if (clock.monotonic() >= until) return this.#host.flushSoon()
      const run = this.#fill(reign)
      if (run === null) return
      meters?.entriesProposed.add(run.entries)
      meters?.batchEntries.observe(run.entries)
      // Prepared and not proposed: the machines' speculation and the origins' numbers would be of a history that never was.
      if (!this.#host.propose(run)) this.#host.stop(diverged('the core did not take a batch that was framed behind its own history', {}))
    }
  }

  /** A machine that throws in the midst leaves a batch half prepared: the reign is void, and nothing of it is proposed. */
  #fill(reign: Reign): Run | null {
    const primary = this.#host.primary()
    if (primary === null) return null
    try {
      return reign.fill(primary)
    } catch (thrown) {
      this.#host.stop(machineThrew('of this replica', 'prepare or unprepare', thrown))
      return null
    }
  }

  end(): void {
    const reign = this.#reign
    this.#reign = null
    this.#inbox = null
    try {
      reign?.end()
    } catch (thrown) {
      this.#host.stop(machineThrew('of this replica', 'abandon', thrown))
    }
  }
}
