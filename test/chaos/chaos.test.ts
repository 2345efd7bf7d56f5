import { expect, test } from 'vitest'
import { buildWorker } from '../../packages/storage-file/src/build.test-support.ts'
import { runChaos } from './run.ts'

const FAULTS_MS = 30_000

test('five processes under faults lose nothing, double nothing, and are linearizable', { timeout: 300_000 }, async () => {
  await buildWorker()
  const seed = Date.now() % 1_000_000_007
  const told: string[] = [`seed ${seed}`]
  const { report, ok } = await runChaos({ seed, store: 'file', ms: FAULTS_MS, say: (line) => told.push(line) })
  expect({ report, ok }, told.join('\n')).toMatchObject({ report: { lost: 0, doubled: 0, linearizable: true }, ok: true })
  expect(report.operations).toBeGreaterThan(0)
  expect(report.faults).toBeGreaterThan(0)
  expect(report.elections).toBeGreaterThan(1)
})
