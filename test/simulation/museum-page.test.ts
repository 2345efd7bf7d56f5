import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MUSEUM } from './museum.ts'
import { ownRows } from './museum-own.ts'
import { headOf, museumPage, rowsOfPage } from './museum-page.ts'
import { RULE_MUTANTS } from './museum-rules.ts'

const own = await ownRows()
const file = new URL('../../packages/docs/museum.md', import.meta.url)
/** UPDATE=1 writes titles and rules anew; what was found comes from `npm run museum -- --page packages/docs/museum.md`. */
if (process.env['UPDATE'] === '1') await writeFile(file, museumPage(MUSEUM, RULE_MUTANTS, own, [], await readFile(file, 'utf8')))
const page = await readFile(file, 'utf8')

test('the page of the documentation says what the museum holds', () => {
  const rows = [...rowsOfPage(page).values()].map((cells) => cells.slice(0, 3))
  expect(rows).toEqual([...MUSEUM, ...RULE_MUTANTS].map(headOf))
  expect(page).toBe(museumPage(MUSEUM, RULE_MUTANTS, own, [], page))
})

test('every row that was looked for has a seed within the budget, and the check that broke there', () => {
  for (const { bug } of [...MUSEUM, ...RULE_MUTANTS]) {
    const [, , , seed, check] = rowsOfPage(page).get(String(bug))!
    if (check === 'not yet run') continue
    expect(Number(seed), `bug ${bug}`).toBeGreaterThan(0)
    expect(Number(seed), `bug ${bug}`).toBeLessThanOrEqual(6000)
    expect(check, `bug ${bug}`).toMatch(/^[a-z-]+$/)
  }
})

test('a page that is written keeps what was not run', () => {
  const mutant = MUSEUM[0]!
  const length = { steps: 12, faults: 3, members: 1, script: '' }
  const written = museumPage(MUSEUM, RULE_MUTANTS, own, [{ mutant, seed: 77, invariant: 'core', length, seconds: 1 }], page)
  const [first, ...rest] = [...rowsOfPage(written).values()]
  expect(first).toEqual([...headOf(mutant), '77', 'core', '12', '3'])
  expect(rest).toEqual([...rowsOfPage(page).values()].slice(1))
  expect([...rowsOfPage(museumPage(MUSEUM, [], [], [], '')).values()][0]!.slice(3)).toEqual(['', 'not yet run', '', ''])
})
