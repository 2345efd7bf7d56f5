import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ZNODE_MUTANTS, ZNODE_PROGRAM } from './museum-znodes.ts'
import { type Mutant, MutantTree } from './mutants.ts'

const SEEDS = 40
/** Each is found within far fewer. */
const SEEDS_WITH_BUG = 60
const PATIENCE_MS = 240_000

let tree: MutantTree

beforeAll(async () => {
  tree = await MutantTree.build()
}, PATIENCE_MS)

afterAll(() => tree.dispose())

const run = (mutant: Mutant | null, seeds: number): ReturnType<MutantTree['run']> => tree.run(ZNODE_PROGRAM, mutant, ['--seeds', String(seeds)])

test(
  'under every fault, ephemeral nodes live as long as their sessions, watches are neither lost nor doubled, and single nodes are linearizable',
  async () => {
    const { seeds, violations, output } = await run(null, SEEDS)
    expect([seeds, violations], output).toEqual([SEEDS, 0])
  },
  PATIENCE_MS,
)

describe('bugs of state machines like this one, put back', () => {
  test.each(ZNODE_MUTANTS)(
    '$bug: $name',
    async (mutant) => {
      const { seed, output } = await run(mutant, SEEDS_WITH_BUG)
      expect(seed, output).not.toBeNull()
    },
    PATIENCE_MS,
  )
})
