import { serveEngine } from '@antiphon/storage-kit/node'
import { LmdbEngine } from './engine.ts'
import type { ThreadData } from './lmdb-storage.ts'

// The worker thread of one store.
serveEngine((data: ThreadData) => new LmdbEngine(data.folder, data))
