import { AntiphonError } from '@antiphon/ports'
import { changeTooLarge, messageOf, refused } from './errors.ts'

/** A refusal's payload: one byte of type, code length u8, code, message; all UTF-8. */
const BY_MACHINE = 0
const TOO_LARGE = 1
const CODE_BYTES_MAX = 64
const MESSAGE_BYTES_MAX = 4096

/** What `prepare` threw, as the entry that says so everywhere (rules 20, 21). */
export function encodeRefusal(thrown: unknown): Uint8Array {
  try {
    return encode(BY_MACHINE, codeOf(thrown), messageOf(thrown))
  } catch {
    // Anything can be thrown, also what throws when it is looked at.
    return encode(BY_MACHINE, 'Error', 'the machine threw something that cannot be told')
  }
}

export function encodeTooLarge(bytes: number, bytesMax: number): Uint8Array {
  return encode(TOO_LARGE, 'TOO_LARGE', `the request makes a change of ${bytes} bytes, above the limit of ${bytesMax}`)
}

/** The error that the caller of the refused request gets. */
export function decodeRefusal(bytes: Uint8Array, start: number, end: number): AntiphonError {
  const decoder = new TextDecoder()
  const codeEnd = Math.min(start + 2 + (bytes[start + 1] ?? 0), end)
  const code = decoder.decode(bytes.subarray(Math.min(start + 2, end), codeEnd))
  const message = decoder.decode(bytes.subarray(codeEnd, end))
  return bytes[start] === TOO_LARGE ? changeTooLarge(message) : refused(code, message)
}

function codeOf(thrown: unknown): string {
  if (thrown instanceof AntiphonError) return thrown.refusal ?? thrown.code
  const { code, name } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as { code?: unknown; name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' && name !== '' ? name : 'Error'
}

function encode(type: number, code: string, message: string): Uint8Array {
  const codeBytes = utf8(code, CODE_BYTES_MAX)
  const messageBytes = utf8(message, MESSAGE_BYTES_MAX)
  const bytes = new Uint8Array(2 + codeBytes.length + messageBytes.length)
  bytes[0] = type
  bytes[1] = codeBytes.length
  bytes.set(codeBytes, 2)
  bytes.set(messageBytes, 2 + codeBytes.length)
  return bytes
}

/** At most `bytesMax` bytes, cut between characters. */
function utf8(text: string, bytesMax: number): Uint8Array {
  const bytes = new Uint8Array(bytesMax)
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written)
}
