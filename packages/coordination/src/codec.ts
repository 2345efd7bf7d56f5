import type { Codec, Data } from './types.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** As it is. */
export const bytes: Codec<Uint8Array | null> = { encode: (value) => value, decode: (data) => data }

/** UTF-8. No data is the empty text. */
export const text: Codec<string> = { encode: (value) => value, decode: (data) => (data === null ? '' : decoder.decode(data)) }

/** JSON. `parse` looks at what was read, and throws or returns it as `T`. */
export function json<T>(parse: (value: unknown) => T = (value) => value as T): Codec<T> {
  return {
    encode(value) {
      const encoded = JSON.stringify(value)
      if (encoded === undefined) throw new TypeError('the value has no JSON')
      return encoded
    },
    decode: (data) => parse(data === null ? null : JSON.parse(decoder.decode(data))),
  }
}

export function toBytes(data: Data): Uint8Array | null {
  return typeof data === 'string' ? encoder.encode(data) : data
}
