import { isShellMessage, laneOf, type MessageKind } from '@antiphon/consensus-core'
import { expect, test } from 'vitest'
import { read, rowsOf } from './tables.ts'

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), (match) => match[1]!)
}

test('every message stands in the table, with its lane and who hears it', () => {
  const kinds = matches(read('packages/consensus-core/src/messages.ts'), /^ {2}readonly kind: '(.+)'$/gm) as MessageKind[]
  expect(kinds.length).toBeGreaterThan(20)
  const expected = kinds.map((kind) => [kind, laneOf(kind), isShellMessage(kind) ? 'shells' : 'cores'])
  expect(rowsOf(read('packages/docs/messages.md')).map((row) => row.slice(0, 3))).toEqual(expected)
})

test('every error code stands in the table, with meaning, outcome and remedy', () => {
  const source = read('packages/consensus-core/src/errors.ts')
  const codes = matches(source.slice(source.indexOf('export type ErrorCode ='), source.indexOf('export type Outcome')), /^ {2}\| '(.+)'$/gm)
  expect(codes.length).toBeGreaterThan(15)
  const rows = rowsOf(read('packages/docs/errors.md'))
  expect(rows.map(([code]) => code)).toEqual(codes)
  for (const [code, meaning, outcome, remedy] of rows) {
    expect(meaning, code).toMatch(/\.$/)
    expect(['rejected', 'unknown', 'rejected or unknown', 'applied', 'rejected or applied'], code).toContain(outcome)
    expect(remedy, code).toMatch(/\.$/)
  }
})

test('the import table of the architecture is the one that the lint rule enforces', () => {
  const page = read('packages/docs/architecture.md')
  const written = Array.from(page.matchAll(/^([a-z-]+) +-> (.+)$/gm), ([, name, allowed]) => [name, allowed === 'nothing' ? [] : allowed!.split(', ')])
  expect(written).toEqual(Object.entries(JSON.parse(read('.config/import-table.json'))))
})

test('the protocol has its rules 1 to 28, each once and in order', () => {
  const rules = matches(read('packages/docs/protocol.md'), /^\*\*(\d+)\. /gm).map(Number)
  expect(rules).toEqual(Array.from({ length: 28 }, (_, index) => index + 1))
})
