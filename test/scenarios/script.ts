import { type CoreConfig, formatZxid, type Lane } from '@antiphon/consensus-core'
import { Cluster } from './cluster.ts'

const LANES: readonly Lane[] = ['control', 'entries', 'bulk']

/**
 * A scenario is a text: lines that begin with `> ` are commands, `#` and empty lines are prose, everything else is what the commands printed. Running it prints it
 * anew; equal text means that the story is still told the same way.
 *
 * ```
 * voters 1 2 3 [observers 9] [set NAME VALUE]   members, none started yet
 * start [quietly] ID..   crash ID..   wipe ID..   (what was not flushed is lost in a crash)
 * cut A B | cut A     mend A B | mend A   (one link, or all of a member's; what is under way on it is lost)
 * hold ID.. release ID..                  (the disk of a member stops, or goes on, to flush)
 * tick ID..           pass TICKS | pass until TEXT   (one member's clock alone; everybody's, with everything delivered between, or until TEXT was printed)
 * propose ID N        read ID             snapshot ID         digest DIGEST ID.. (of the state as applied now)
 * deliver A B LANE [N]   flush ID   hear ID   stream         (one event at a time)
 * run [until TEXT]    until nothing is under way, or TEXT was printed; no time passes
 * settle [quietly] [ID..]   until everybody that runs (or those named) is active and has caught up
 * state               one line per member
 * ```
 */
export function play(text: string): string {
  const output: string[] = []
  const stage = new Stage()
  for (const line of text.split('\n')) {
    if (line.startsWith('> ')) {
      output.push(line)
      for (const printed of stage.perform(line.slice(2).trim())) output.push(printed)
    } else if (line.startsWith('#') || line === '') {
      output.push(line)
    }
  }
  return output.join('\n')
}

class Stage {
  #cluster: Cluster | null = null
  #printed: string[] = []
  #reads = 0

  get cluster(): Cluster {
    if (this.#cluster === null) throw new Error('a scenario begins with `> voters ...`')
    return this.#cluster
  }

  perform(command: string): string[] {
    this.#printed = []
    const words = command.split(/\s+/)
    this.#command(words[0]!, words.slice(1))
    for (const node of this.#cluster?.nodes.values() ?? []) {
      for (const read of node.reads) this.#printed.push(`  ${node.id}: ${read}`)
      node.reads.length = 0
    }
    return this.#printed
  }

  #command(verb: string, rest: readonly string[]): void {
    const ids = rest.map(Number)
    switch (verb) {
      case 'voters':
        return this.#voters(rest)
      case 'start':
        return this.#silently(rest.includes('quietly'), () => ids.forEach((id) => id > 0 && this.cluster.start(id)))
      case 'crash':
        return ids.forEach((id) => this.cluster.crash(id))
      case 'wipe':
        return ids.forEach((id) => this.cluster.wipe(id))
      case 'cut':
        return this.#links(ids, (a, b) => this.cluster.cut(a, b))
      case 'mend':
        return this.#links(ids, (a, b) => this.cluster.mend(a, b))
      case 'hold':
        return ids.forEach((id) => (this.cluster.node(id).diskHeld = true))
      case 'release':
        return ids.forEach((id) => (this.cluster.node(id).diskHeld = false))
      case 'tick':
        return ids.forEach((id) => this.cluster.tick(id))
      case 'pass':
        if (rest[0] === 'until') return this.#passUntil(rest.slice(1).join(' '))
        return this.#silently(rest[1] === 'quietly', () => {
          for (let i = 0; i < ids[0]!; i++) this.#passTick()
        })
      case 'propose':
        if (!this.cluster.propose(ids[0]!, ids[1]!)) this.#printed.push('  not the primary')
        return
      case 'read':
        return this.cluster.read(ids[0]!, ++this.#reads)
      case 'digest':
        return ids.slice(1).forEach((id) => this.cluster.digest(id, rest[0]!))
      case 'snapshot':
        if (!this.cluster.snapshot(ids[0]!)) this.#printed.push('  no snapshot now')
        return
      case 'deliver':
        for (let i = 0; i < Number(rest[3] ?? 1); i++) if (!this.cluster.deliver(ids[0]!, ids[1]!, rest[2] as Lane)) this.#printed.push('  nothing to deliver')
        return
      case 'flush':
        if (!this.cluster.flush(ids[0]!)) this.#printed.push('  nothing to flush')
        return
      case 'hear':
        if (!this.cluster.hear(ids[0]!)) this.#printed.push('  nothing to hear')
        return
      case 'stream':
        if (!this.cluster.stream()) this.#printed.push('  nothing to stream')
        return
      case 'run':
        return rest[0] === 'until' ? this.#run(rest.slice(1).join(' ')) : this.#run()
      case 'settle':
        return this.#settle(
          rest[0] === 'quietly',
          ids.filter((id) => id > 0),
        )
      case 'state':
        return this.#state()
      default:
        throw new Error(`unknown command: ${verb}`)
    }
  }

  #voters(words: readonly string[]): void {
    const voters: number[] = []
    const observers: number[] = []
    const settings: Record<string, number> = {}
    let into = voters
    for (let i = 0; i < words.length; i++) {
      if (words[i] === 'observers') into = observers
      else if (words[i] === 'set') settings[words[++i]!] = Number(words[++i])
      else into.push(Number(words[i]))
    }
    this.#cluster = new Cluster({ voters, observers, settings: settings as Partial<CoreConfig> })
    this.#cluster.trace = (line) => this.#printed.push(line)
  }

  #links(ids: readonly number[], act: (a: number, b: number) => void): void {
    if (ids.length === 2) return act(ids[0]!, ids[1]!)
    for (const other of this.cluster.nodes.keys()) if (other !== ids[0]) act(ids[0]!, other)
  }

  #silently(quiet: boolean, act: () => void): void {
    const { trace } = this.cluster
    if (quiet) this.cluster.trace = () => {}
    act()
    this.cluster.trace = trace
  }

  /** Every event that can happen, one after the other; `until` something was printed. */
  #run(until?: string): void {
    const from = this.#printed.length
    if (!this.#runUntil(until, from) && until !== undefined) throw new Error(`it never came to: ${until}\n${this.#printed.slice(from).join('\n')}`)
  }

  #runUntil(until: string | undefined, from: number): boolean {
    const { cluster } = this
    const members = [...cluster.nodes.keys()]
    const done = (): boolean => until !== undefined && this.#printed.slice(from).some((line) => line.includes(until))
    for (let moved = true; moved; ) {
      moved = false
      for (const id of members) {
        while (!done() && (cluster.flush(id) || cluster.hear(id))) moved = true
        for (const other of members) {
          if (id === other) continue
          for (const lane of LANES) while (!done() && cluster.deliver(id, other, lane)) moved = true
        }
      }
      while (!done() && cluster.stream()) moved = true
      if (done()) return true
    }
    return done()
  }

  #passTick(): void {
    this.#beginTick()
    this.#run()
  }

  #beginTick(): void {
    this.cluster.pass(100)
    this.cluster.reconnect()
    for (const id of this.cluster.nodes.keys()) this.cluster.tick(id)
  }

  #passUntil(until: string): void {
    const from = this.#printed.length
    for (let ticks = 0; ticks < 400; ticks++) {
      this.#beginTick()
      if (this.#runUntil(until, from)) return
    }
    throw new Error(`it never came to: ${until}\n${this.#printed.slice(from).join('\n')}`)
  }

  #settle(quietly: boolean, only: readonly number[]): void {
    this.#silently(quietly, () => {
      this.#run()
      for (let ticks = 0; !this.#isSettled(only); ticks++) {
        if (ticks > 1000) throw new Error(`not settled after 1000 ticks\n${this.#stateLines().join('\n')}`)
        this.#passTick()
      }
    })
    if (quietly) for (const line of this.#stateLines()) this.#printed.push(line)
  }

  #isSettled(only: readonly number[]): boolean {
    const views = [...this.cluster.nodes.values()]
      .filter((node) => node.core !== null && (only.length === 0 || only.includes(node.id)))
      .map((node) => node.core!.view())
    return (
      views.length > 0 && views.every((view) => view.active && view.leader === views[0]!.leader && view.committed === view.last && view.last === views[0]!.last)
    )
  }

  #state(): void {
    for (const line of this.#stateLines()) this.#printed.push(line)
  }

  #stateLines(): string[] {
    return [...this.cluster.nodes.values()].map((node) => {
      if (node.core === null) return `  ${node.id}: down${node.fault === null ? '' : ` (${node.fault})`}`
      const view = node.core.view()
      return `  ${node.id}: ${view.quarantined === null ? '' : 'quarantined, '}${view.role}${view.leader === null ? '' : ` of ${view.leader}`}${view.active ? '' : ', not active'}, epochs ${view.acceptedEpoch}/${view.currentEpoch}, last ${formatZxid(view.last)}, committed ${formatZxid(view.committed)}`
    })
  }
}
