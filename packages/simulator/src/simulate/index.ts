export { simulate } from './simulate.ts'
export type { Finding, FindingKind, SimulateOptions, SimulateResult, WorkloadRandom } from './types.ts'
