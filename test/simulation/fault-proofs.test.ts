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
      // Some runs show the bug by what every run has: delays, elections, the aftermath. They prove nothing.
      for (let from = 1; from <= SEEDS; ) {
        const finding = await tree.simulate(alone(proof, proof.fault), SEEDS - from + 1, ['--seed', String(from), '--violations', '1'])
        expect(finding.violations, `no seed up to ${SEEDS} needs the fault for it`).toBeGreaterThan(0)
        const without = await tree.simulate(alone(proof, null), 1, ['--seed', String(finding.seed), '--workers', '0'])
        if (without.violations === 0) return
        from = finding.seed! + 1
      }
      expect.unreachable(`no seed up to ${SEEDS} needs the fault for it`)
    },
    PATIENCE_MS,
  )
}
