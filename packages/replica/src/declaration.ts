import type { NamedMachine } from './settings.ts'
import { describeMachines } from './snapshot-format.ts'

/** Type of a declaration among the payloads of machine 0. */
const DECLARATION = 2

/**
 * The first entry of a history names the machines, for an entry knows its machine by number alone: whoever comes with other machines, or in another order, finds out before anything is
 * applied to the wrong one.
 */
export function encodeDeclaration(machines: readonly NamedMachine[]): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(describeMachines(machines)))
  const bytes = new Uint8Array(1 + text.length)
  bytes[0] = DECLARATION
  bytes.set(text, 1)
  return bytes
}

/** What was declared, as JSON; null when the payload in `bytes[start, end)` is no declaration. */
export function decodeDeclaration(bytes: Uint8Array, start: number, end: number): string | null {
  return end > start && bytes[start] === DECLARATION ? new TextDecoder().decode(bytes.subarray(start + 1, end)) : null
}
