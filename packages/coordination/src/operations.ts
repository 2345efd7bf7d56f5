import { AntiphonError, invalidArgument } from '@antiphon/ports'
import { type Acl, type CreateMode, type CreateOperation, OPEN_ACL, type OperationResult, type ZnodeResult } from '@antiphon/znode-tree'
import { toBytes } from './codec.ts'
import type { CreateOptions, Data } from './types.ts'

/** @throws AntiphonError INVALID_ARGUMENT */
export function createOperation(path: string, data: Data, { mode = 'persistent', ttlMs, acl = OPEN_ACL }: CreateOptions): CreateOperation {
  const hasTtl = (mode as CreateMode).endsWith('with-ttl')
  if (!hasTtl && ttlMs !== undefined)
    throw invalidArgument(`a node of mode ${mode} has no \`ttlMs\``, 'Use the modes persistent-with-ttl and persistent-sequential-with-ttl.')
  if (hasTtl && (typeof ttlMs !== 'number' || !Number.isInteger(ttlMs))) throw invalidArgument('`ttlMs` is a whole number of milliseconds')
  return { type: 'create', path, data: expectData(data), acl: expectAcl(acl), mode, ttlMs: ttlMs ?? 0 }
}

export function expectData(data: Data): Uint8Array | null {
  if (data !== null && typeof data !== 'string' && !(data instanceof Uint8Array)) throw invalidArgument('data are bytes, a text, or null')
  return toBytes(data)
}

export function expectAcl(acl: readonly Acl[]): readonly Acl[] {
  if (!Array.isArray(acl)) throw invalidArgument('an ACL is an array of { perms, scheme, id }')
  return acl
}

export function versionOf({ version = -1 }: { readonly version?: number }): number {
  if (!Number.isInteger(version) || version < -(2 ** 31) || version >= 2 ** 31) throw invalidArgument(`a version is a whole number of 32 bits, not ${version}`)
  return version
}

export function unexpected(result: ZnodeResult | OperationResult): AntiphonError {
  return new AntiphonError('DIVERGED', `the tree answered with ${result.type}`, {
    outcome: 'applied',
    remedy: 'Run the same version on every replica.',
  })
}
