import { NodeDisk, serveEngine } from '@antiphon/storage-kit/node'
import { FileEngine } from './engine/index.ts'
import type { ThreadData } from './file-storage.ts'

// The worker thread of one store.
serveEngine(
  (data: ThreadData) => new FileEngine(new NodeDisk(data.folder), data),
  ({ sealAfterMs }) => sealAfterMs,
)
