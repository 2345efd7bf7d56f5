import { type Message, ZERO } from '@antiphon/consensus-core'
import { decodeMessage, encodeMessage, entryLength, payloadStart, RunBuilder } from '@antiphon/wire'
import { RECORD_BYTES } from './load.ts'

const BATCH = 1000

/** What three replicas can not do without, and nothing else: entries are framed once, taken in twice and walked three times. Entries a second, in one thread. */
export function framesAlone(measureMs: number): number {
  const builder = new RunBuilder()
  const payload = new Uint8Array(RECORD_BYTES).fill(7)
  const head = { origin: ZERO, sequence: 1, pending: 0, machine: 1, kind: 0 }
  let previous = ZERO
  let checksum = 0
  let entries = 0
  let fold = 0
  const walk = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at += entryLength(bytes, at)) fold = (fold + bytes[payloadStart(at)]!) | 0
  }
  const begun = performance.now()
  while (performance.now() - begun < measureMs) {
    builder.begin(previous, checksum, 1, 1_700_000_000_000)
    for (let i = 0; i < BATCH; i++) builder.add(head, payload)
    const run = builder.finish()!
    const pieces = encodeMessage({ kind: 'PROPOSE', epoch: 1, committed: previous, run })
    walk(run.bytes)
    for (let follower = 0; follower < 2; follower++) {
      const message = decodeMessage(Buffer.concat(pieces)) as Extract<Message, { kind: 'PROPOSE' }>
      walk(message.run.bytes)
    }
    previous = run.last
    checksum = run.checksum
    entries += BATCH
  }
  if (fold === 0) throw new Error('nothing was walked')
  return entries / ((performance.now() - begun) / 1000)
}
