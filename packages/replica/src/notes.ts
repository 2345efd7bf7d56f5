import type { PeerId, Pong } from '@antiphon/consensus-core'
import type { AntiphonError, Clock } from '@antiphon/ports'
import { machineThrew, unfitNote } from './errors.ts'
import type { AnyMachine, NamedMachine } from './settings.ts'

/** A heartbeat is no place for more. */
const NOTE_BYTES_MAX = 64 * 1024

/** Machines' unreplicated words, that ride on heartbeats to the leader. They may be lost: a machine that throws here loses its own, and nothing else. */
export class Notes {
  readonly #machines: readonly NamedMachine[]
  readonly #clock: Clock
  readonly #trouble: (error: AntiphonError) => void

  constructor(machines: readonly NamedMachine[], clock: Clock, trouble: (error: AntiphonError) => void) {
    this.#machines = machines
    this.#clock = clock
    this.#trouble = trouble
  }

  /** What this replica's machines have to say. */
  gather(): Pong['notes'] {
    const notes: { machine: number; note: Uint8Array }[] = []
    for (let number = 1; number <= this.#machines.length; number++) {
      this.#call('note', number, (machine) => {
        const note = machine.note?.() ?? null
        if (note === null) return
        if (note instanceof Uint8Array && note.length <= NOTE_BYTES_MAX) notes.push({ machine: number, note })
        else this.#trouble(unfitNote(this.#machines[number - 1]!.name, NOTE_BYTES_MAX))
      })
    }
    return notes
  }

  /** On the primary: what was said at `from`. */
  hear(from: PeerId, notes: Pong['notes']): void {
    if (notes.length === 0) return
    const now = this.#clock.monotonic()
    for (const { machine, note } of notes) this.#call('heard', machine, (named) => named.heard?.(from, note, now))
  }

  #call(what: string, number: number, call: (machine: AnyMachine) => void): void {
    const named = this.#machines[number - 1]
    if (named === undefined) return
    try {
      call(named.machine)
    } catch (thrown) {
      this.#trouble(machineThrew(named.name, what, thrown))
    }
  }
}
