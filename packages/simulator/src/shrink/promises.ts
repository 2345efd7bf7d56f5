import type { Invariant } from '../violation.ts'

/** What each invariant expects, in a sentence. */
export const PROMISES: Readonly<Record<Invariant, string>> = {
  agreement: 'all members apply the same changes at the same ZXIDs in one order',
  integrity: 'what is applied was asked for, and is applied once',
  'origin-order': 'the requests of one origin are applied in the order in which it made them',
  quarantine: 'a state that went wrong is found, served no more, and replaced by a sound one; a sound one is left alone',
  time: 'time in entries never goes back, nor ahead of the clocks that are right',
  reads: 'a read point is not below what was committed anywhere when the read was asked',
  window: 'a window bounds what is not committed and what is on its way to a learner, and who counts nowhere is sent committed entries only',
  lease: 'no leader is, or could be, established while another one reads by lease',
  digest: 'equal histories make equal states',
  snapshot: 'snapshots of one ZXID are the same bytes on every replica',
  leadership: 'an epoch has one established leader',
  durability: "what was committed or acknowledged is and stays in a quorum's durable histories",
  recovery: 'a store that is opened again holds what it had called durable, and the state behind some whole write',
  founding: 'there is one ensemble, and each of its voters counts in it',
  core: "each core's own invariants hold before and after every step",
  linearizability: 'what clients were told fits one order that respects real time',
  lost: 'what was acknowledged is in the final state',
  rejected: 'what was rejected never takes effect',
  'local-reads': "a local read never goes back, and shows the reader's own writes",
  fault: 'no member stops by itself while its disk is sound',
  crash: 'nothing throws where nothing may',
  liveness: 'once the faults have ended, the ensemble settles and every call is answered',
  determinism: 'a seed runs the same way every time',
}
