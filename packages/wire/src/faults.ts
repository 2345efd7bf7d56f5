import { AntiphonError } from '@antiphon/consensus-core'

/** What a reader throws at a field that cannot be: the place that reads knows what its user should do. */
export type Fault = (message: string, details: Readonly<Record<string, unknown>>) => AntiphonError

/** Bytes from a peer that no peer of ours sends: nothing of the frame was used. */
export function corruptFrame(message: string, details: Readonly<Record<string, unknown>> = {}): AntiphonError {
  return new AntiphonError('CORRUPT', message, {
    remedy:
      'The frame was dropped whole; close the connection and let it be opened again. If it happens again, examine the network and the memory of both machines.',
    details,
  })
}

export function foreignVersion(message: string, details: Readonly<Record<string, unknown>> = {}): AntiphonError {
  return new AntiphonError('VERSION_MISMATCH', message, {
    remedy: 'Install versions of Antiphon on both members that share a protocol version; upgrade one member at a time, and by one major version at a time.',
    details,
  })
}
