const MAPPED_BITS = 96
const MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** Of the `ip` scheme: what an ACL means, the addresses that begin with the first `bits` of `bytes` (4 of them, or 16). */
export interface AddressRange {
  readonly bytes: readonly number[]
  readonly bits: number
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Null: it is none. A range of IPv4-mapped addresses is the range of the IPv4 addresses. */
export function parseRange(text: string): AddressRange | null {
  const slash = text.indexOf('/')
  const bytes = parseAny(slash < 0 ? text : text.slice(0, slash))
  if (bytes === null) return null
  const width = bytes.length * 8
  const bits = slash < 0 ? width : parseDecimal(text.slice(slash + 1), width)
  if (bits === null) return null
  if (bits >= MAPPED_BITS && isMapped(bytes)) return { bytes: bytes.slice(12), bits: bits - MAPPED_BITS }
  return { bytes, bits }
}

/** 4 or 16 bytes; an IPv4-mapped address (RFC 4291 section 2.5.5.2) is the IPv4 address, as a socket of both kinds tells it. Null: it is none. */
export function parseAddress(text: string): readonly number[] | null {
  const bytes = parseAny(text)
  return bytes !== null && isMapped(bytes) ? bytes.slice(12) : bytes
}

export function isInRange(address: readonly number[], range: AddressRange): boolean {
  if (address.length !== range.bytes.length) return false
  const whole = range.bits >>> 3
  for (let at = 0; at < whole; at += 1) if (address[at] !== range.bytes[at]) return false
  const rest = range.bits & 7
  return rest === 0 || (address[whole]! ^ range.bytes[whole]!) >>> (8 - rest) === 0
}

function parseAny(text: string): number[] | null {
  return text.includes(':') ? parseV6(text) : parseV4(text)
}

function parseV4(text: string): number[] | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  const bytes = parts.map((part) => parseDecimal(part, 255))
  return bytes.includes(null) ? null : (bytes as number[])
}

/** RFC 4291 section 2.2, without a zone. */
function parseV6(text: string): number[] | null {
  const gap = text.indexOf('::')
  if (gap < 0) {
    const bytes = parseGroups(text)
    return bytes?.length === 16 ? bytes : null
  }
  const head = gap === 0 ? [] : parseGroups(text.slice(0, gap), false)
  const tail = gap + 2 === text.length ? [] : parseGroups(text.slice(gap + 2))
  if (head === null || tail === null || head.length + tail.length > 14) return null
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

/** Groups of up to four hexadecimal digits; the last may be an IPv4 address where one may stand. */
function parseGroups(text: string, last = true): number[] | null {
  const groups = text.split(':')
  if (groups.length > 8) return null
  const bytes: number[] = []
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes('.')) {
      const v4 = parseV4(group)
      if (v4 === null) return null
      bytes.push(...v4)
    } else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >>> 8, value & 0xff)
    } else {
      return null
    }
  }
  return bytes
}

/** Zeros may stand before it, and do not make it octal: as ZooKeeper reads it. */
function parseDecimal(text: string, max: number): number | null {
  if (!/^\d{1,9}$/.test(text)) return null
  const value = Number(text)
  return value <= max ? value : null
}

function isMapped(bytes: readonly number[]): boolean {
  return bytes.length === 16 && MAPPED.every((byte, at) => bytes[at] === byte)
}
