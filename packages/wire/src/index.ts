export {
  checksumBehind,
  crc32,
  crc32OfWord,
  cutAfter,
  cutBehind,
  ENTRY_OVERHEAD_BYTES,
  endPointsOf,
  entryKind,
  entryLength,
  entryMachine,
  entryOrigin,
  entryPending,
  entryPrevious,
  entrySequence,
  entryTime,
  entryZxid,
  payloadEnd,
  payloadStart,
  RunBuilder,
  runFromBytes,
} from '@antiphon/consensus-core'
export { ByteReader, ByteWriter } from './bytes.ts'
export { decodeMessage } from './decode.ts'
export { encodeMessage, NOTES_MAX, REQUESTS_MAX } from './encode.ts'
export type { Fault } from './faults.ts'
export { PROTOCOL_VERSION } from './frame.ts'
export { decodeGreeting, encodeGreeting, type Greeting, negotiate, PROTOCOL_VERSIONS, type VersionRange } from './greeting.ts'
export {
  decodeFounding,
  decodeSnapshotMeta,
  encodeFounding,
  encodeSnapshotMeta,
  readConfiguration,
  readEndPoints,
  readFounding,
  readSnapshotMeta,
  writeConfiguration,
  writeEndPoints,
  writeFounding,
  writeSnapshotMeta,
} from './records.ts'
