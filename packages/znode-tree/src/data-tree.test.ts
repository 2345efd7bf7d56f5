import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pair, programs, seen, seenOf } from './data-tree.test-support.ts'
import { NodeTree } from './data-tree.ts'

test('whatever is done, it is the tree that plain maps would hold, with the digest as computed from scratch', () => {
  fc.assert(
    fc.property(programs, (program) => {
      const pair = new Pair()
      for (const [index, step] of program.entries()) {
        pair.step(step)
        // Nodes are hashed lazily: some have been, some have not when they are changed again or deleted.
        if (index % 7 === 0) pair.tree.digest()
      }
      expect(seen(pair.tree)).toEqual(seenOf(pair.naive))
    }),
    { numRuns: 100 },
  )
})

test('the empty tree has the digest of an empty ZooKeeper (tests.md section 0)', () => {
  expect(new NodeTree().digest()).toBe(1371985504n)
})
