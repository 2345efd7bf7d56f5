/** Table k gives the effect of a byte that k bytes follow. */
const [T0, T1, T2, T3] = tables() as [Int32Array, Int32Array, Int32Array, Int32Array]

function tables(): Int32Array[] {
  const first = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    first[n] = c
  }
  const made = [first]
  for (let k = 1; k < 4; k++) made.push(made[k - 1]!.map((before) => first[before & 0xff]! ^ (before >>> 8)))
  return made
}

/**
 * The CRC-32 of `text[start, end)` in UTF-8, continued from `seed`, signed: straight from the characters, without their bytes. Surrogates count one by one, as three bytes each: no valid path
 * has any. Four characters of ASCII are one step.
 */
export function crcOfText(text: string, seed: number, start: number, end: number): number {
  let crc = ~seed
  let at = start
  for (;;) {
    while (at < end - 3) {
      const a = text.charCodeAt(at)
      const b = text.charCodeAt(at + 1)
      const c = text.charCodeAt(at + 2)
      const d = text.charCodeAt(at + 3)
      if ((a | b | c | d) > 0x7f) break
      crc ^= a | (b << 8) | (c << 16) | (d << 24)
      crc = T3[crc & 0xff]! ^ T2[(crc >>> 8) & 0xff]! ^ T1[(crc >>> 16) & 0xff]! ^ T0[crc >>> 24]!
      at += 4
    }
    if (at === end) return ~crc
    const unit = text.charCodeAt(at++)
    if (unit < 0x80) crc = T0[(crc ^ unit) & 0xff]! ^ (crc >>> 8)
    else if (unit < 0x800) {
      crc = T0[(crc ^ (0xc0 | (unit >>> 6))) & 0xff]! ^ (crc >>> 8)
      crc = T0[(crc ^ (0x80 | (unit & 0x3f))) & 0xff]! ^ (crc >>> 8)
    } else {
      crc = T0[(crc ^ (0xe0 | (unit >>> 12))) & 0xff]! ^ (crc >>> 8)
      crc = T0[(crc ^ (0x80 | ((unit >>> 6) & 0x3f))) & 0xff]! ^ (crc >>> 8)
      crc = T0[(crc ^ (0x80 | (unit & 0x3f))) & 0xff]! ^ (crc >>> 8)
    }
  }
}
