import { type MultiPart, type OperationResult, type WriteOperation, ZNODE_ERRORS } from '@antiphon/znode-tree'
import type { Data, Part, Write } from './program.ts'
import type { PartReply } from './transcript.ts'

/** What programs ask for and are told, in the machine's words. */

const bytesOf = (data: Data): Uint8Array | null => (data === null ? null : Uint8Array.from(Buffer.from(data, 'latin1')))
export const dataOf = (bytes: Uint8Array | null): Data => (bytes === null ? null : Buffer.from(bytes).toString('latin1'))

export function operationOf(write: Write): WriteOperation
export function operationOf(write: Part): MultiPart
export function operationOf(write: Write | Part): WriteOperation | MultiPart {
  switch (write.op) {
    case 'create': {
      const { path, acl, mode, ttlMs } = write
      return { type: 'create', path, data: bytesOf(write.data), acl, mode, ttlMs }
    }
    case 'setData':
      return { type: 'setData', path: write.path, data: bytesOf(write.data), version: write.version }
    case 'setAcl':
      return { type: 'setAcl', path: write.path, acl: write.acl, version: write.version }
    case 'multi':
      return { type: 'multi', operations: write.parts.map((part) => operationOf(part)) }
    default:
      return { type: write.op, path: write.path, version: write.version }
  }
}

export function partReply(result: OperationResult, part: Write | Part): PartReply {
  switch (result.type) {
    case 'error':
      return { code: ZNODE_ERRORS[result.error] }
    case 'create':
      return part.op === 'create' && part.stat ? { code: 0, path: result.path, stat: result.stat } : { code: 0, path: result.path }
    case 'setData':
    case 'setAcl':
      return { code: 0, stat: result.stat }
    default:
      return { code: 0 }
  }
}
