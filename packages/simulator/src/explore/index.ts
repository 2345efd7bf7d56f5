export { BOUNDS, type Bounds, STARTS, type Start } from './bounds.ts'
export { type Exploration, type ExploreOptions, type ExploreViolation, explore, type Progress } from './search.ts'
