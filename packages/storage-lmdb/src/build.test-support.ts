import { buildWorker as build } from '../../../test/support/build-worker.ts'

export function buildWorker(): Promise<void> {
  return build('storage-lmdb', 'storage-kit', 'ports', 'wire', 'consensus-core')
}
