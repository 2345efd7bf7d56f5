import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { main } from './readme-example.test-support.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

test("the README's example is what the README shows, and finds what the README says", async () => {
  expect(read('../../README.md')).toContain(read('./readme-example.test-support.ts').replace("'../index.ts'", "'@antiphon/simulator'"))
  const { ok, report, findings } = await main()
  expect(ok).toBe(false)
  const [shown] = /(?<=^```text\n)[\s\S]*?(?=^```)/m.exec(read('../../README.md'))!
  // Which seed, entry and bytes change with the simulation; what is said of them does not.
  const said = (text: string): string =>
    text
      .trim()
      .replaceAll(/`[^`]*`/g, '`...`')
      .replaceAll(/\d+/g, '#')
  expect(said(report)).toBe(said(shown))
  expect(findings[0]!.history).toHaveLength(findings[0]!.entries)
})
