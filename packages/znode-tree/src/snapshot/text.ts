import { corrupt } from '@antiphon/ports'

/** What `ByteSink.unit` wrote. */
export function textOf(bytes: Uint8Array, start: number, end: number): string {
  let ascii = true
  for (let at = start; at < end && ascii; at++) ascii = bytes[at]! < 0x80
  if (ascii && end - start <= 4096) return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[])
  const parts: string[] = []
  let units: number[] = []
  for (let at = start; at < end; ) {
    const byte = bytes[at++]!
    if (byte < 0x80) units.push(byte)
    else if ((byte & 0xe0) === 0xc0 && at < end) units.push(((byte & 0x1f) << 6) | follower(bytes[at++]!))
    else if ((byte & 0xf0) === 0xe0 && at + 1 < end) {
      const middle = follower(bytes[at++]!)
      units.push(((byte & 0xf) << 12) | (middle << 6) | follower(bytes[at++]!))
    } else throw corrupt('a text is not in UTF-8')
    if (units.length === 4096) {
      parts.push(String.fromCharCode(...units))
      units = []
    }
  }
  return parts.join('') + String.fromCharCode(...units)
}

function follower(byte: number): number {
  if ((byte & 0xc0) !== 0x80) throw corrupt('a text is not in UTF-8')
  return byte & 0x3f
}
