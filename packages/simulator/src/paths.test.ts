import type { Effects, Write } from '@antiphon/consensus-core'
import { peerId, ZERO } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { expectedPaths, Paths, untaken } from './paths.ts'
import { FAULT_KINDS } from './profile.ts'

const NOTHING: Effects = {
  discards: [],
  abandons: [],
  stagedAppends: [],
  writes: [],
  sends: [],
  transfers: [],
  cancels: [],
  receives: [],
  closes: [],
  refusals: [],
  commitTo: null,
  readable: [],
  quarantine: null,
  disputed: null,
  snapshotDue: null,
  role: null,
  fault: null,
  wakeAt: 0,
}
const WRITE: Write = { ticket: 1, founding: null, install: 3, truncateTo: null, append: [], epochs: null, afterwards: [] }

test('every message, effect, transfer, role, fault and answer is expected once, but for those that have a reason', () => {
  const expected = expectedPaths()
  expect(new Set(expected).size).toBe(expected.length)
  for (const path of [
    'PROPOSE',
    'RESEND',
    'input staged',
    'effect cancels',
    'write install',
    'transfer snap',
    'role observing active',
    'answer ABORTED unknown',
  ])
    expect(expected).toContain(path)
  for (const kind of FAULT_KINDS) expect(expected).toContain(`fault ${kind}`)
  for (const path of ['effect fault', 'role looking active', 'write answered looking']) expect(expected).not.toContain(path)
})

test('what a step does is counted by its input, its effects and the parts of its writes', () => {
  const paths = new Paths()
  paths.stepped({ kind: 'tick' }, NOTHING)
  paths.stepped(
    { kind: 'message', from: peerId(2), connection: 1, message: { kind: 'COMMIT', epoch: 1, committed: ZERO } },
    {
      ...NOTHING,
      writes: [WRITE, { ...WRITE, install: null, truncateTo: { zxid: ZERO, checksum: 0 } }],
      commitTo: ZERO,
      role: { role: 'leading', leader: peerId(1), epoch: 1, active: true },
    },
  )
  expect(Object.fromEntries(paths.taken())).toEqual({
    'input tick': 1,
    'input message': 1,
    COMMIT: 1,
    'effect writes': 1,
    'effect commitTo': 1,
    'effect role': 1,
    'write install': 1,
    'write truncateTo': 1,
    'role leading active': 1,
  })
})

test('what was never taken is named', () => {
  const all = new Set<string>(expectedPaths())
  expect(untaken(all)).toEqual([])
  all.delete('fault ring')
  all.delete('TRUNC')
  expect(untaken(all)).toEqual(['TRUNC', 'fault ring'])
})
