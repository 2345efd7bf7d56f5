export { assertFolder, inFolder } from './folder.ts'
export type { Connect, Link, LinkHandler } from './link.ts'
export { localLink, serveEngine, workerLink } from './links.ts'
export { StoreClient } from './store-client.ts'
