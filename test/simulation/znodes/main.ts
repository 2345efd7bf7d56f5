/** Runs the tree under every fault of the simulation: `--seeds N --seed S --requests R`; last a line of JSON. */
import { parseArgs } from 'node:util'
import { simulate } from '@antiphon/simulator'
import { WatchedTree } from './watched-tree.ts'
import { MODEL, partition, workload } from './workload.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    requests: { type: 'string', default: '150' },
    json: { type: 'boolean' },
  },
})
const first = Number(values.seed)
const { report, ...told } = await simulate({
  machine: () => new WatchedTree(),
  workload,
  seeds: Array.from({ length: Number(values.seeds) }, (_, i) => first + i),
  requests: Number(values.requests),
  model: MODEL,
  partition,
})
console.log(report)
const failures = told.findings.map(({ kind, seed, explanation }) => ({ seed, invariant: kind, explanation, shrunk: null }))
console.log(JSON.stringify({ ...told, findings: undefined, violations: failures.length, failures, hash: '' }))
process.exitCode = told.ok ? 0 : 1
