import { expect, test } from 'vitest'
import { SessionTable, SessionTableDecoder } from './session-table.ts'

function encoded(...ids: bigint[]): Uint8Array {
  const table = new SessionTable()
  for (const id of ids) table.open(id, 1, 4000, 7 as never)
  const [chunk] = table.encode()
  return chunk!
}

function decoded(...chunks: Uint8Array[]): SessionTable {
  const decoder = new SessionTableDecoder()
  for (const chunk of chunks) decoder.push(chunk)
  return decoder.finish()
}

test('what is no table of sessions is CORRUPT', () => {
  const id = 0x0100_0000_0000_0001n
  const one = encoded(id)
  expect(decoded(one).info(id)).toEqual({ id, timeoutMs: 4000, peer: 1, attachment: 7 })
  const two = encoded(id, id + 1n)
  const twice = two.slice()
  twice.set(two.subarray(-42, -21), two.length - 21)
  expect(() => decoded(twice)).toThrow('twice')
  for (let length = 0; length < two.length; length++) expect(() => decoded(two.subarray(0, length))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  expect(() => decoded(two, two)).toThrow('more sessions')
  expect(() => decoded()).toThrow('lacks')
})
