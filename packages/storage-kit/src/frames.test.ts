import type { SnapshotMeta } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { ChunkFramer } from './frames.ts'

const META: SnapshotMeta = { zxid: 0 as never, checksum: 0 as never, endPoints: [], time: 0, digest: null } as never

test('what is taken may be transferred to another thread, empty or not, and leaves what follows whole', () => {
  for (let framer = 0; framer < 2; framer++) {
    const chunks = new ChunkFramer(META, 64)
    const taken: Uint8Array[] = [chunks.take()]
    expect(chunks.add(Uint8Array.of(1, 2, 3))).toBeNull()
    taken.push(chunks.take(), chunks.take())
    for (const bytes of taken) structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] })
    expect(taken.map(({ length }) => length)).toEqual([0, 0, 0])
  }
})
