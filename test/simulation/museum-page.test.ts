import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MUSEUM } from './museum.ts'
import { headOf, museumPage, rowsOfPage } from './museum-page.ts'
import { RULE_MUTANTS } from './museum-rules.ts'

const page = await readFile(new URL('../../packages/docs/museum.md', import.meta.url), 'utf8')

test('the page of the documentation says what the museum holds: npm run museum -- --bugs N --page packages/docs/museum.md', () => {
  const rows = [...rowsOfPage(page).values()].map((cells) => cells.slice(0, 3))
  expect(rows).toEqual([...MUSEUM, ...RULE_MUTANTS].map(headOf))
  expect(page).toBe(museumPage(MUSEUM, RULE_MUTANTS, [], page))
})

test('every row has a seed within the budget, and the check that broke there', () => {
  for (const { bug, open } of [...MUSEUM, ...RULE_MUTANTS]) {
    if (open === true) continue
    const [, , , seed, check] = rowsOfPage(page).get(String(bug))!
    expect(Number(seed), `bug ${bug}`).toBeGreaterThan(0)
    expect(Number(seed), `bug ${bug}`).toBeLessThanOrEqual(6000)
    expect(check, `bug ${bug}`).toMatch(/^[a-z-]+$/)
  }
})

test('a page that is written keeps what was not run', () => {
  const mutant = MUSEUM[0]!
  const length = { steps: 12, faults: 3, members: 1, script: '' }
  const written = museumPage(MUSEUM, RULE_MUTANTS, [{ mutant, seed: 77, invariant: 'core', length, seconds: 1 }], page)
  const [first, ...rest] = [...rowsOfPage(written).values()]
  expect(first).toEqual([...headOf(mutant), '77', 'core', '12', '3'])
  expect(rest).toEqual([...rowsOfPage(page).values()].slice(1))
  expect([...rowsOfPage(museumPage(MUSEUM, [], [], '')).values()][0]!.slice(3)).toEqual(['', 'not yet run', '', ''])
})
