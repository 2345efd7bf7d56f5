import type { Zxid } from '@antiphon/ports'
import { ASIDE } from '../folder-names.ts'

const NAME = /^snapshot-([0-9a-f]{8})-([0-9a-f]{16})((?:-[0-9]+)?\.new)?$/

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

export function snapshotName(generation: number, zxid: Zxid): string {
  return `snapshot-${hex(generation, 8)}-${hex(zxid, 16)}`
}

/** Null: the name is not a snapshot's. `aside`: it is not yet whole. */
export function parseSnapshotName(name: string): { readonly generation: number; readonly zxid: Zxid; readonly aside: boolean } | null {
  const match = NAME.exec(name)
  if (match === null) return null
  return { generation: Number.parseInt(match[1]!, 16), zxid: Number.parseInt(match[2]!, 16) as Zxid, aside: match[3] !== undefined }
}

/** Two snapshots of one ZXID may be under way: one of our own, which has become void, and the one that takes its place. */
export function freeAside(taken: readonly string[], name: string): string {
  let aside = name + ASIDE
  for (let n = 2; taken.includes(aside); n++) aside = `${name}-${n}${ASIDE}`
  return aside
}
