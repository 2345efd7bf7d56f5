import { afterAll, beforeAll, expect, test } from 'vitest'
import { alone, FAULT_PROOFS } from './fault-proofs.ts'
import { MutantTree } from './mutants.ts'

const SEEDS = 300
const PATIENCE_MS = 300_000

let tree: MutantTree

beforeAll(async () => {
  tree = await MutantTree.build()
}, PATIENCE_MS)

afterAll(() => tree.dispose())

for (const proof of FAULT_PROOFS.filter(({ slow }) => slow !== true)) {
  test(
    `${proof.fault} alone shows a bug that the same run without it does not`,
    async () => {
      const finding = await tree.simulate(alone(proof, proof.fault), SEEDS, ['--violations', '1'])
      expect(finding.violations, finding.output.slice(-2000)).toBeGreaterThan(0)
      expect(await tree.simulate(alone(proof, null), 1, ['--seed', String(finding.seed), '--workers', '0'])).toMatchObject({ seeds: 1, violations: 0 })
    },
    PATIENCE_MS,
  )
}
