import { corrupt } from '@antiphon/ports'
import { CONFIG_PATH, CONFIG_VERSION, REAP, SET_CONFIG } from '../changes.ts'
import { CONTAINER, TTL } from '../data-tree-types.ts'
import { znodeError } from '../errors.ts'
import type { ZnodeTreeOptions } from '../machine-types.ts'
import { parentPath } from '../path.ts'
import type { PathRecord } from '../path-record.ts'
import { remove } from './operations.ts'
import type { Outcome, Preparation } from './request.ts'

/** May a container or a TTL node go? */
export function isReapable(
  node: Pick<PathRecord, 'kind' | 'childCount' | 'childrenCreated' | 'mtime' | 'ttlMs'>,
  time: number,
  { containerUnusedMsMax }: Pick<Required<ZnodeTreeOptions>, 'containerUnusedMsMax'>,
): boolean {
  if (node.childCount > 0) return false
  const idleMs = time - node.mtime
  if (node.kind === TTL) return idleMs > node.ttlMs
  return node.kind === CONTAINER && (node.childrenCreated !== 0 || (containerUnusedMsMax > 0 && idleMs > containerUnusedMsMax))
}

/**
 * Looked at again, for it may have got a child, or data, or be another node since.
 * @throws AntiphonError REFUSED (BAD_VERSION): it may not go, or not any more; the leader's own question needs no entry to say so
 */
export function prepareReap(preparation: Preparation): Outcome {
  const { reader, overlay, change, time, options } = preparation
  const path = reader.text()
  reader.finish()

  const record = overlay.at(path)
  if (!record.exists || !isReapable(record, time, options)) throw znodeError('BAD_VERSION', path, `${path} is not to be reaped`)
  remove(preparation, record, overlay.at(parentPath(path)))
  change.u8(REAP)
  change.text(path)
  return null
}

export function prepareSetConfig(preparation: Preparation): Outcome {
  const { reader, overlay, change, time } = preparation
  const length = reader.data()
  if (length < 0) throw corrupt('a configuration is null')
  const end = reader.at
  reader.finish()

  const record = overlay.at(CONFIG_PATH)
  overlay.touch(record)
  record.version = CONFIG_VERSION
  record.dataLength = length
  record.mtime = time
  change.u8(SET_CONFIG)
  change.dataOf(reader.bytes, end - length, end)
  return null
}
