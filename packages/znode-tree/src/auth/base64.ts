const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** RFC 4648 section 4, padded. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const bits = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    text += ALPHABET[bits >>> 18]! + ALPHABET[(bits >>> 12) & 63]!
    text += at + 1 < bytes.length ? ALPHABET[(bits >>> 6) & 63]! : '='
    text += at + 2 < bytes.length ? ALPHABET[bits & 63]! : '='
  }
  return text
}
