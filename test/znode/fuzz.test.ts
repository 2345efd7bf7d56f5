import { expect, test } from 'vitest'
import { programOf } from './generator.ts'
import { CODES } from './model/codes.ts'
import { proveSeed, SHAPE } from './prove.ts'
import type { Transcript } from './transcript.ts'

const PROGRAMS = 2_000

/** How often each code and each kind of event was seen. */
function count(seen: Transcript, counts: Map<string, number>): void {
  const one = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1)
  for (const item of seen.flat()) {
    if (item.kind === 'event') one(item.zxid === null ? `missed ${item.type}` : item.type)
    else {
      if (item.reply.session !== undefined && item.reply.zxid === undefined) one('local session')
      one(String(item.reply.code))
      for (const part of item.reply.parts ?? []) one(`part ${part.code}`)
    }
  }
}

test(`${PROGRAMS.toLocaleString('en')} programs: the machine and the model answer alike, on two replicas that stay the same`, {
  timeout: 600_000,
}, async () => {
  const counts = new Map<string, number>()
  let [operations, becameGlobal] = [0, 0]
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const proof = await proveSeed(seed)
    expect(proof.failure).toBeNull()
    operations += proof.operations
    becameGlobal += proof.becameGlobal
    count(proof.seen, counts)
  }
  expect(operations).toBeGreaterThan(20 * PROGRAMS)
  expect(becameGlobal).toBeGreaterThan(PROGRAMS / 10)
  // What programs never come to is not proved.
  const inParts = [
    'RUNTIME_INCONSISTENCY',
    'BAD_ARGUMENTS',
    'NO_NODE',
    'NO_AUTH',
    'BAD_VERSION',
    'NODE_EXISTS',
    'NOT_EMPTY',
    'INVALID_ACL',
    'NO_CHILDREN_FOR_EPHEMERALS',
    'QUOTA_EXCEEDED',
  ] as const
  const alone = Object.entries(CODES).filter(([name]) => name !== 'RUNTIME_INCONSISTENCY' && name !== 'MARSHALLING_ERROR')
  const expected = [
    '0',
    ...alone.map(([, code]) => String(code)),
    ...inParts.map((name) => `part ${CODES[name]}`),
    ...['created', 'deleted', 'dataChanged', 'childrenChanged'].flatMap((type) => [type, `missed ${type}`]),
    'local session',
  ]
  expect(expected.filter((what) => (counts.get(what) ?? 0) < 5)).toEqual([])
})

test('a seed is a program', () => {
  expect(programOf(4711, SHAPE)).toEqual(programOf(4711, SHAPE))
  expect(programOf(4711, SHAPE)).not.toEqual(programOf(4712, SHAPE))
})
