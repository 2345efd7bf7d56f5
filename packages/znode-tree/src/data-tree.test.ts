import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pair, type Step, seen, seenOf } from './data-tree.test-support.ts'
import { NodeTree } from './data-tree.ts'
import type { NodeKind } from './data-tree-types.ts'

const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e') }, fc.constantFrom('é', 'ÿ', 'Ω', '木', 'n'.repeat(300)))
/** Null, empty, of several size classes, and larger than the largest of them. */
const bytes = fc.oneof(
  fc.constant(null),
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  fc.constantFrom(0, 119, 200, 8300).map((length) => new Uint8Array(length).fill(length)),
)
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('create' as const),
        pick: fc.nat(1000),
        name,
        kind: fc.constantFrom<NodeKind[]>(0, 0, 0, 1, 2, 3),
        data: bytes,
        acl: fc.nat(2),
        session: fc.nat(2),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), pick: fc.nat(1000) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('setData' as const), pick: fc.nat(1000), data: bytes }) },
    fc.record({ type: fc.constant('setAcl' as const), pick: fc.nat(1000), acl: fc.nat(2) }),
  ),
  { maxLength: 150, size: 'max' },
)

test('whatever is done, it is the tree that plain maps would hold, with the digest as computed from scratch', () => {
  fc.assert(
    fc.property(steps, (program) => {
      const pair = new Pair()
      for (const step of program) pair.step(step)
      expect(seen(pair.tree)).toEqual(seenOf(pair.naive))
    }),
    { numRuns: 100 },
  )
})

test('the empty tree has the digest of an empty ZooKeeper (tests.md section 0)', () => {
  expect(new NodeTree().digest()).toBe(1371985504n)
})
