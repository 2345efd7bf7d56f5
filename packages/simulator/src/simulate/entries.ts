import type { StateMachine } from '@antiphon/ports'
import type { Entry } from './types.ts'

/** The requests that `entries` are: of a machine that takes requests as changes; none of any other. */
export function decodeEntries<Request, Result>(machine: StateMachine<Request, Result>, entries: readonly Entry[]): Request[] {
  return machine.prepare === undefined ? entries.map(({ bytes }) => machine.decodeRequest(bytes.slice())) : []
}
