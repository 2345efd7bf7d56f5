import { type CommittedBatch, type PeerId, type PrimaryContext, type StateMachine, type Zxid, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Bank, Stubborn, type Transfer } from './buggy.test-support.ts'
import { Recorder } from './recorder.ts'
import { checkReigns } from './reigns.ts'

const context = (epoch: number): PrimaryContext => ({
  epoch,
  zxid: zxidOf(epoch, 1),
  time: 1000 * epoch,
  monotonic: 0,
  tickMs: 100,
  changeBytesMax: 1000,
  random: () => 4,
})
const request = (amount: number): Uint8Array => new Bank().encodeRequest({ from: 'anna', to: 'bert', amount })

function batchOf(bytes: Uint8Array, zxid: number): CommittedBatch {
  return {
    length: 1,
    bytes,
    start: () => 0,
    end: () => bytes.length,
    change: () => bytes,
    zxid: () => zxid as Zxid,
    time: () => 1,
    needsResult: () => true,
  }
}

/** A member leads, prepares two changes of which one is applied, loses its reign, and leads again. */
function twoReigns(make: () => StateMachine<Transfer, number>): Recorder<Transfer, number> {
  const recorder = new Recorder(make)
  const machine = recorder.machineOf(1 as PeerId, 3)
  machine.leading!(context(1))
  const change = machine.prepare!(request(1), context(1))
  machine.prepare!(request(2), context(1))
  machine.apply(batchOf(change, 2 ** 32 + 1))
  machine.abandon!()
  machine.leading!(context(2))
  machine.prepare!(request(3), context(2))
  return recorder
}

test('what a machine really kept from one of its reigns to the next is told as that', () => {
  const { entries, witnesses } = twoReigns(() => new Stubborn())
  const flaw = checkReigns(() => new Stubborn() as StateMachine<Transfer, number>, entries, witnesses)
  expect(flaw?.kind).toBe('not-abandoned')
  expect(flaw?.explanation).toMatch(
    /^the reign of member 1 in epoch 2, which begins behind 1\.1, prepares .* where a machine that has seen nothing but the entries prepares /,
  )
})

test('a machine that forgets is sound', () => {
  const { entries, witnesses } = twoReigns(() => new Bank())
  expect(entries).toHaveLength(1)
  expect(checkReigns(() => new Bank() as StateMachine<Transfer, number>, entries, witnesses)).toBeNull()
})
