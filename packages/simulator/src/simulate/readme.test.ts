import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { main } from './readme-example.test-support.ts'
import { seats, tickets } from './readme-machines.test-support.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

const README = read('../../README.md')
const SHOWN = [...README.matchAll(/(?<=^```text\n)[\s\S]*?(?=^```)/gm)].map(([text]) => text)

/** Which seed, entry and bytes change with the simulation; what is said of them does not. */
function said(text: string): string {
  return text
    .trim()
    .replaceAll(/`[^`]*`/g, '`...`')
    .replaceAll(/\d+/g, '#')
}

function expectShown(example: string): void {
  expect(README).toContain(read(example).replace("'../index.ts'", "'@antiphon/simulator'"))
}

test("the README's example is what the README shows, and finds what the README says", async () => {
  expectShown('./readme-example.test-support.ts')
  const { ok, report, findings } = await main()
  expect(ok).toBe(false)
  expect(said(report)).toBe(said(SHOWN[0]!))
  expect(findings[0]!.history).toHaveLength(findings[0]!.entries)
})

test('the two other machines are what the README shows, and are found to be what it says', async () => {
  expectShown('./readme-machines.test-support.ts')
  for (const [i, { report, findings }] of [await tickets(), await seats()].entries()) {
    expect(findings.map(({ kind }) => kind)).toEqual([['restore-differs', 'not-abandoned'][i]])
    expect(said(report)).toBe(said(SHOWN[i + 1]!))
  }
})
