import { type AckEpoch, END_POINTS_MAX, type StagedPart } from '../messages.ts'
import type { Staging } from '../state.ts'
import type { Step } from '../step.ts'

/** What a member says of its history once the promise of `epoch` is durable. */
export function ackEpochOf(step: Step, epoch: number): AckEpoch {
  const { epochs, history, committed, quarantined, kept } = step.state
  return {
    kind: 'ACK-E',
    epoch,
    current: epochs.current,
    last: history.last,
    checksum: history.checksum,
    committed,
    wall: step.now.wall,
    quarantined: quarantined !== null,
    endPoints: history.endPoints.slice(-END_POINTS_MAX),
    staged: kept === null ? null : partOf(kept),
  }
}

function partOf({ meta, chunks, digest, generation, history }: Staging): StagedPart {
  const log = generation === null ? null : { last: history.last, checksum: history.checksum }
  return { zxid: meta.zxid, checksum: meta.checksum, chunks, digest, log }
}
