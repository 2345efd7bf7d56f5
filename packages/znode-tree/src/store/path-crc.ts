const TABLE = table()

function table(): Int32Array {
  const made = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    made[n] = c
  }
  return made
}

/** The CRC-32 of `text[start, end)` in UTF-8, continued from `seed`, signed. Surrogates count one by one, as three bytes each: no valid path has any. */
export function crcOfText(text: string, seed: number, start: number, end: number): number {
  let crc = ~seed
  for (let at = start; at < end; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) crc = TABLE[(crc ^ unit) & 0xff]! ^ (crc >>> 8)
    else if (unit < 0x800) {
      crc = TABLE[(crc ^ (0xc0 | (unit >>> 6))) & 0xff]! ^ (crc >>> 8)
      crc = TABLE[(crc ^ (0x80 | (unit & 0x3f))) & 0xff]! ^ (crc >>> 8)
    } else {
      crc = TABLE[(crc ^ (0xe0 | (unit >>> 12))) & 0xff]! ^ (crc >>> 8)
      crc = TABLE[(crc ^ (0x80 | ((unit >>> 6) & 0x3f))) & 0xff]! ^ (crc >>> 8)
      crc = TABLE[(crc ^ (0x80 | (unit & 0x3f))) & 0xff]! ^ (crc >>> 8)
    }
  }
  return ~crc
}
