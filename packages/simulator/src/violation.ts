/** Which promise broke. */
export type Invariant =
  | 'agreement' // two members apply different things at one ZXID, or in another order
  | 'integrity' // something is applied that was not asked for, or twice
  | 'origin-order' // one origin's requests are applied in another order than it made them
  | 'quarantine' // a state that was found wanting is served, or replaced by itself
  | 'time' // time in entries goes back, or away from the clocks
  | 'reads' // a read point below what was committed when the read was asked
  | 'window' // more is on its way than a window holds, or somebody who counts nowhere hears of what is not committed
  | 'lease' // a leader is established, or could be, while another reads by lease
  | 'digest' // equal histories, unequal states
  | 'snapshot' // of one ZXID there are two that differ
  | 'leadership' // two established leaders of one epoch
  | 'durability' // something committed or acknowledged is not in a quorum's durable histories
  | 'recovery' // a store came back with something that was never written, or without something that was durable
  | 'founding' // a second ensemble, or one without some of its voters
  | 'core' // an invariant of one core
  | 'linearizability'
  | 'lost' // acknowledged and not in the final state
  | 'rejected' // rejected and in the final state all the same
  | 'local-reads' // a local read went back, or does not show the reader's own write
  | 'fault' // a member stopped although nothing was broken
  | 'crash' // something threw where nothing may
  | 'liveness'
  | 'determinism'

/** A broken promise: ends the run. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly invariant: Invariant

  constructor(invariant: Invariant, message: string) {
    super(message)
    this.invariant = invariant
  }
}
