export { formatScript, parseScript, type Script } from './script.ts'
export { type ShrinkBounds, type Shrunk, shrink } from './shrink.ts'
