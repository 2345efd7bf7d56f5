import type { StateMachine } from '@antiphon/ports'
import { assert, assertEqual } from '../suite.ts'
import { type AddMachineCase, assertAlike } from './replication.ts'
import { applyAll, type Change, changesOf, contextOf, prepare, type StateMachineSetup, snapshotOf } from './setup.ts'

/** What holds on the primary: `prepare` looks at everything proposed, and takes back what it must. */
export function speculation<Request, Result>(setup: StateMachineSetup<Request, Result>, add: AddMachineCase): void {
  const sample = setup.create()
  const noPrepare = sample.prepare === undefined ? 'the machine takes requests as changes' : null
  const noRefusals = noPrepare ?? ((setup.refused ?? []).length === 0 ? 'the set-up names no request that is refused' : null)
  const noUnprepare = noPrepare ?? (sample.unprepare === undefined ? 'the machine has no unprepare()' : null)
  const noAbandon = noPrepare ?? (sample.abandon === undefined && sample.leading === undefined ? 'the machine has neither leading() nor abandon()' : null)

  const primary = (): StateMachine<Request, Result> => {
    const machine = setup.create()
    machine.leading?.(contextOf(0))
    return machine
  }
  const bytes = (changes: readonly Change[]): Uint8Array[] => changes.map((change) => change.bytes)
  const prepareAll = (machine: StateMachine<Request, Result>, from: number, to: number): Change[] =>
    setup.requests.slice(from, to).map((request, index) => prepare(machine, request, from + index))

  add('what prepare() returns does not depend on what is applied yet', noPrepare, () => {
    const ahead = prepareAll(primary(), 0, setup.requests.length)
    assertEqual(bytes(ahead), bytes(changesOf(setup)), 'changes prepared ahead, and changes prepared one by one')
    const machine = primary()
    const mixed = prepareAll(machine, 0, 8)
    applyAll(machine, mixed.slice(0, 3), 0)
    mixed.push(...prepareAll(machine, 8, 14))
    applyAll(machine, mixed.slice(3, 10), 3)
    mixed.push(...prepareAll(machine, 14, setup.requests.length))
    assertEqual(bytes(mixed), bytes(ahead), 'changes prepared while others are applied')
  })

  add('prepare() changes nothing that can be read', noPrepare, () => {
    const machine = primary()
    const changes = prepareAll(machine, 0, 5)
    applyAll(machine, changes, 0)
    const [before, digest] = [snapshotOf(machine), machine.digest?.()]
    prepareAll(machine, 5, 12)
    assertEqual(snapshotOf(machine), before, 'the snapshot')
    assertEqual(machine.digest?.(), digest, 'the digest')
  })

  add('a request that is refused leaves the speculation as it was', noRefusals, () => {
    const machine = primary()
    const changes: Change[] = []
    for (const [number, request] of setup.requests.entries()) {
      for (const refused of setup.refused ?? [])
        assert(
          throws(() => prepare(machine, refused, number)),
          'a request that was to be refused was not',
        )
      changes.push(prepare(machine, request, number))
      if (number % 5 === 4) applyAll(machine, changes.slice(number - 4), number - 4)
    }
    assertEqual(bytes(changes), bytes(changesOf(setup)), 'the changes between refusals')
  })

  add('unprepare() takes back the last change and no other', noUnprepare, () => {
    for (let taken = 0; taken < setup.requests.length; taken++) {
      const machine = primary()
      const changes = prepareAll(machine, 0, taken + 1)
      machine.unprepare?.()
      changes.pop()
      changes.push(...prepareAll(machine, taken, setup.requests.length))
      assertEqual(bytes(changes), bytes(changesOf(setup)), `the changes when number ${taken} was taken back`)
    }
  })

  add('a reign that is void leaves nothing of what was prepared', noAbandon, () => {
    const changes = changesOf(setup)
    const half = changes.length >> 1
    const machine = primary()
    applyAll(machine, prepareAll(machine, 0, 4), 0)
    prepareAll(machine, 4, half)
    machine.abandon?.()
    assertAlike(machine, followerAt(4), 'after abandon()')
    // Another leader's reign: the same changes come from outside.
    applyAll(machine, changes.slice(4, half), 4)
    assertAlike(machine, followerAt(half), 'as a follower')
    machine.leading?.(contextOf(half))
    assertEqual(bytes(prepareAll(machine, half, changes.length)), bytes(changes.slice(half)), 'the changes of the next reign')
  })

  add('leading() forgets what an earlier reign has prepared', noAbandon, () => {
    const machine = primary()
    prepareAll(machine, 0, 6)
    machine.abandon?.()
    machine.leading?.(contextOf(0))
    assertEqual(bytes(prepareAll(machine, 0, setup.requests.length)), bytes(changesOf(setup)), 'the changes')
  })

  function followerAt(count: number): StateMachine<Request, Result> {
    const machine = setup.create()
    applyAll(machine, changesOf(setup).slice(0, count), 0)
    return machine
  }
}

function throws(body: () => unknown): boolean {
  try {
    body()
    return false
  } catch {
    return true
  }
}
