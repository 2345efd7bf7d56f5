import { type CoreView, EPOCH_MAX, EPOCH_WARNING, memberOf, type PeerId } from '@antiphon/consensus-core'

/** What is no fault yet and wants somebody's attention, a sentence each. */
export function warningsOf(self: PeerId, view: CoreView): string[] {
  const warnings: string[] = []
  if (view.acceptedEpoch >= EPOCH_WARNING) {
    warnings.push(
      `epoch ${view.acceptedEpoch} of ${EPOCH_MAX} that can be represented: find out why leaders change so often, and move the state to a new ensemble`,
    )
  }
  if (view.ensembleId !== null && !view.counted && memberOf(view.configuration, self)?.role === 'voter') {
    warnings.push(`this store is not the one that the ensemble knows as voter ${self}: it follows and serves reads, and has no vote`)
  }
  return warnings
}
