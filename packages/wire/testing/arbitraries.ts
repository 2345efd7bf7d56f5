import {
  type Configuration,
  type EntryHead,
  EPOCH_MAX,
  type EpochEnd,
  type Message,
  type MessageKind,
  type PeerId,
  type Run,
  RunBuilder,
  type SnapshotMeta,
  type StagedPart,
  type Zxid,
  zxidOf,
} from '@antiphon/consensus-core'
import fc, { type Arbitrary } from 'fast-check'

const u32 = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff))
const safe = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER))
const epoch = fc.oneof(fc.integer({ min: 0, max: EPOCH_MAX }), fc.constantFrom(0, 1, EPOCH_MAX))
export const zxids: Arbitrary<Zxid> = fc.tuple(epoch, u32).map(([e, counter]) => zxidOf(e, counter))
const peer = fc.integer({ min: 1, max: 255 }).map((id) => id as PeerId)
const payload = fc.uint8Array({ maxLength: 48 })

function hex(digits: number): Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: digits, maxLength: digits })
}

const attempt = fc.record({ leader: peer, nonce: safe })

const endPoints: Arbitrary<EpochEnd[]> = fc
  .uniqueArray(fc.record({ epoch: fc.integer({ min: 1, max: EPOCH_MAX }), counter: u32, checksum: u32 }), { maxLength: 6, selector: (end) => end.epoch })
  .map((ends) => ends.sort((a, b) => a.epoch - b.epoch).map((end) => ({ epoch: end.epoch, last: zxidOf(end.epoch, end.counter), checksum: end.checksum })))

export const configurations: Arbitrary<Configuration> = fc.record({
  version: zxids,
  members: fc
    .uniqueArray(
      fc.record({ id: peer, role: fc.constantFrom('voter' as const, 'observer' as const), weight: safe, group: safe, storeId: fc.option(hex(32)) }),
      {
        maxLength: 5,
        selector: (member) => member.id,
      },
    )
    .map((members) => members.sort((a, b) => a.id - b.id)),
})

export const snapshotMetas: Arbitrary<SnapshotMeta> = fc.record({ zxid: zxids, checksum: u32, endPoints, time: safe })

const stagedParts: Arbitrary<StagedPart> = fc.record({
  zxid: zxids,
  checksum: u32,
  chunks: safe.map((chunks) => Math.max(1, chunks)),
  digest: u32,
  log: fc.option(fc.record({ last: zxids, checksum: u32 })),
})

const heads: Arbitrary<EntryHead> = fc.record({
  origin: zxids,
  sequence: safe,
  pending: u32,
  machine: fc.integer({ min: 0, max: 255 }),
  kind: fc.constantFrom(0, 1),
})

/** Runs as a primary frames them: one reign, one time. */
export const runs: Arbitrary<Run> = fc
  .record({
    epoch: fc.integer({ min: 1, max: EPOCH_MAX }),
    counter: fc.integer({ min: 0, max: 0xffff_ff00 }),
    checksum: u32,
    time: safe,
    entries: fc.array(fc.tuple(heads, payload), { minLength: 1, maxLength: 5 }),
  })
  .map(({ epoch: reign, counter, checksum, time, entries }) => {
    const builder = new RunBuilder(16)
    builder.begin(zxidOf(counter === 0 ? reign - 1 : reign, counter), checksum, reign, time)
    for (const [head, bytes] of entries) builder.add(head, bytes)
    return builder.finish()!
  })

const byKind: { readonly [K in MessageKind]: Arbitrary<Extract<Message, { kind: K }>> } = {
  IDENTITY: fc.record({ kind: fc.constant('IDENTITY'), ensembleId: fc.option(hex(32)), settings: hex(16), empty: fc.boolean() }),
  FOUNDING: fc.record({ kind: fc.constant('FOUNDING'), founding: fc.record({ ensembleId: hex(32), configuration: configurations }) }),
  VOTE: fc.record({
    kind: fc.constant('VOTE'),
    state: fc.constantFrom('looking', 'following', 'leading', 'observing'),
    leader: fc.oneof(peer, fc.constant(0 as const)),
    zxid: zxids,
    epoch,
    round: safe,
  }),
  CEPOCH: fc.record({ kind: fc.constant('CEPOCH'), accepted: epoch, acceptedFrom: fc.option(attempt) }),
  NEWEPOCH: fc.record({ kind: fc.constant('NEWEPOCH'), epoch, attempt }),
  'ACK-E': fc.record({
    kind: fc.constant('ACK-E'),
    epoch,
    current: epoch,
    last: zxids,
    checksum: u32,
    committed: zxids,
    wall: safe,
    quarantined: fc.boolean(),
    endPoints,
    staged: fc.option(stagedParts),
  }),
  TRUNC: fc.record({ kind: fc.constant('TRUNC'), epoch, to: zxids, checksum: u32 }),
  DIFF: fc.record({ kind: fc.constant('DIFF'), epoch, after: zxids, checksum: u32, staged: fc.boolean() }),
  SNAP: fc.record({ kind: fc.constant('SNAP'), epoch, transfer: safe, meta: snapshotMetas, chunks: safe, digest: u32 }),
  CHUNK: fc.record({ kind: fc.constant('CHUNK'), transfer: safe, index: safe, last: fc.boolean(), bytes: fc.uint8Array({ maxLength: 400 }) }),
  STORED: fc.record({ kind: fc.constant('STORED'), transfer: safe, chunks: safe }),
  RECEIVED: fc.record({ kind: fc.constant('RECEIVED'), epoch, transfer: safe, upTo: zxids, ok: fc.boolean() }),
  NEWLEADER: fc.record({ kind: fc.constant('NEWLEADER'), epoch, last: zxids, checksum: u32 }),
  'ACK-LD': fc.record({ kind: fc.constant('ACK-LD'), epoch, last: zxids }),
  'COMMIT-LD': fc.record({ kind: fc.constant('COMMIT-LD'), epoch, committed: zxids }),
  PROPOSE: fc.record({ kind: fc.constant('PROPOSE'), epoch, committed: zxids, run: runs }),
  ACK: fc.record({ kind: fc.constant('ACK'), epoch, upTo: zxids }),
  COMMIT: fc.record({ kind: fc.constant('COMMIT'), epoch, committed: zxids }),
  PING: fc.record({ kind: fc.constant('PING'), epoch, committed: zxids, round: safe, wall: safe }),
  PONG: fc.record({
    kind: fc.constant('PONG'),
    epoch,
    round: safe,
    wall: safe,
    notes: fc.array(fc.record({ machine: fc.integer({ min: 0, max: 255 }), note: payload }), { maxLength: 4 }),
  }),
  READ: fc.record({ kind: fc.constant('READ'), epoch, number: safe }),
  'READ-POINT': fc.record({ kind: fc.constant('READ-POINT'), epoch, number: safe, zxid: zxids }),
  REGISTER: fc.record({ kind: fc.constant('REGISTER'), storeId: hex(32), nonce: hex(16) }),
  REQUESTS: fc.record({
    kind: fc.constant('REQUESTS'),
    origin: zxids,
    first: safe,
    confirmed: safe,
    requests: fc.array(fc.record({ machine: fc.integer({ min: 0, max: 255 }), payload }), { maxLength: 6 }),
  }),
  RESEND: fc.record({ kind: fc.constant('RESEND'), origin: zxids, next: safe }),
  RETIRED: fc.record({ kind: fc.constant('RETIRED'), origin: zxids }),
  DIGEST: fc.record({ kind: fc.constant('DIGEST'), epoch, zxid: zxids, digest: hex(16) }),
  VERDICT: fc.record({ kind: fc.constant('VERDICT'), epoch, zxid: zxids, digest: hex(16) }),
  REBUILD: fc.record({ kind: fc.constant('REBUILD'), epoch, zxid: zxids, digest: hex(16), after: zxids }),
}

/** Messages of every kind, each as likely as the next. */
export const messages: Arbitrary<Message> = fc.oneof(...Object.values<Arbitrary<Message>>(byKind))

/** One frame in one piece, as it arrives. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
