export type { NetworkClock } from './host-clock.ts'
export { type CutOptions, MemoryNetwork } from './network.ts'
export type { Delay, MemoryNetworkOptions } from './options.ts'
