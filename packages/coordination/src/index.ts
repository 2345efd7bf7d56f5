export type { SessionId, Stat, WatchEvent } from '@antiphon/znode-tree'
