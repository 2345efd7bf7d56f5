import type { EpochEnd, Founding, StoreId } from '@antiphon/ports'
import { type CheckedDisk, expectVersion } from '@antiphon/storage-kit'
import type { Database } from './environment.ts'
import {
  damaged,
  decodeEnds,
  decodeFoundingValue,
  decodeHead,
  decodeMarker,
  decodeSegments,
  FORMAT_VERSION,
  type Head,
  KEY_ENDS,
  KEY_FOUNDING,
  KEY_HEAD,
  KEY_SEGMENTS,
  MARKER_NAME,
  type SegmentPlace,
  segmentName,
  valueChecksum,
} from './format.ts'

/** What the unnamed database holds, verified. */
export interface Stored {
  readonly head: Head
  readonly founding: Founding | null
  readonly ends: readonly EpochEnd[]
  readonly segments: readonly SegmentPlace[]
}

/** @throws AntiphonError CORRUPT, VERSION_MISMATCH, DISK_FAILED */
export function readMarker(disk: CheckedDisk): StoreId {
  const file = disk.open(MARKER_NAME, 'read')
  try {
    const bytes = new Uint8Array(Math.min(disk.size(file), 4096))
    const marker = disk.read(file, bytes, 0) === bytes.length ? decodeMarker(bytes) : null
    if (marker === null) throw damaged(MARKER_NAME, 'the checksum does not match', { file: MARKER_NAME })
    expectVersion(marker.version, FORMAT_VERSION, 'the store')
    return marker.storeId
  } finally {
    disk.close(file)
  }
}

/** Within a read. `marker`: the id of the store that it must be. @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export function readStored(root: Database, marker: StoreId): Stored {
  const [headBytes, foundingBytes, endsBytes, segmentsBytes] = [KEY_HEAD, KEY_FOUNDING, KEY_ENDS, KEY_SEGMENTS].map((key) => root.get(key))
  if (headBytes == null) throw damaged('the head', 'it is not there')
  const head = decodeHead(headBytes)
  if (head.storeId !== marker) throw damaged('the head', 'it is of another store than the marker')
  expectTied(foundingBytes, head.foundingChecksum, 'the founding')
  expectTied(endsBytes, head.endsChecksum, 'the end points')
  expectTied(segmentsBytes, head.segmentsChecksum, 'the list of segments')
  return {
    head,
    founding: foundingBytes == null ? null : decodeFoundingValue(foundingBytes),
    ends: decodeEnds(endsBytes!),
    segments: decodeSegments(segmentsBytes!),
  }
}

/** Of the databases that there are, those that nothing refers to. @throws AntiphonError CORRUPT when one that counts is not there */
export function leftovers(names: readonly string[], segments: readonly SegmentPlace[]): string[] {
  const left = new Set(names)
  for (const { number } of segments) if (!left.delete(segmentName(number))) throw damaged(segmentName(number), 'it is not there')
  return [...left]
}

/** The value is the one that the head speaks of: pages of another commit are not taken for it. */
function expectTied(value: Uint8Array | null | undefined, checksum: number, what: string): void {
  if ((value == null ? 0 : valueChecksum(value)) !== checksum) throw damaged(what, 'it is not the one that the head speaks of')
}
