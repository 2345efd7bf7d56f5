import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { main } from './readme-example.test-support.ts'

test("the README's example runs, and is what the README shows", async () => {
  expect(await main()).toEqual(['created /workers/worker-0000000000', 'created /workers/leader', '26', 'worker-0000000000 leader'])
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
  expect(read('../README.md')).toContain(read('./readme-example.test-support.ts').replace("'./index.ts'", "'@antiphon/coordination'"))
})
