import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { expect } from 'vitest'

export const SEED = 20_261_121

/** What a length or a count may claim: 2^32 - 1, 2^31 - 1, 2^30, 2^24, and what is no count at all. */
export const HUGE: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x04],
  [0x80, 0x80, 0x80, 0x08],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
]
export type Damage = { readonly kind: 'byte' | 'cut' | 'huge' | 'twice' | 'less'; readonly at: number; readonly value: number }
export const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('byte' as const, 'byte' as const, 'cut' as const, 'huge' as const, 'twice' as const, 'less' as const),
    at: fc.oneof(fc.nat(80), fc.nat(100_000)),
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 3 },
)

export function damaged(clean: Uint8Array, all: readonly Damage[]): Uint8Array {
  let bytes = clean.slice()
  for (const { kind, at, value } of all) {
    const where = bytes.length === 0 ? 0 : at % bytes.length
    if (kind === 'byte') bytes[where] = value
    else if (kind === 'cut') bytes = bytes.slice(0, where)
    else if (kind === 'huge') bytes = Uint8Array.from([...bytes.subarray(0, where), ...HUGE[value % HUGE.length]!, ...bytes.subarray(where + (value & 7))])
    else if (kind === 'twice') bytes = Uint8Array.from([...bytes.subarray(0, where + (value & 31)), ...bytes.subarray(where)])
    else bytes = Uint8Array.from([...bytes.subarray(0, where), ...bytes.subarray(where + 1 + (value & 31))])
  }
  return bytes
}

/** What `decode` makes of bytes: a value, or null when they are CORRUPT. Anything else it may not throw. */
export function decodedOrCorrupt<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | null {
  try {
    return decode(bytes)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AntiphonError)
    expect((thrown as AntiphonError).code).toBe('CORRUPT')
    return null
  }
}

/** No decoder makes room because a length says so: each huge claim at each place of what is valid. */
export function boundsAllocation(decode: (bytes: Uint8Array) => unknown, clean: Uint8Array): void {
  let most = 0
  for (let at = 0; at < clean.length; at++) {
    for (const claim of HUGE) {
      const bytes = Uint8Array.from([...clean.subarray(0, at), ...claim, ...clean.subarray(at + 1)])
      const before = process.memoryUsage().arrayBuffers
      decodedOrCorrupt(decode, bytes)
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
  }
  expect(most).toBeLessThan(2 ** 20)
}
