import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { main } from './readme-example.test-support.ts'

test("the README's example runs, and is what the README shows", async () => {
  expect(await main()).toEqual(['created /app', 'created /app/n-0000000000', 'create', 'NODE_EXISTS', 'true', 'deleted /app/n-0000000000'])
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
  expect(read('../README.md')).toContain(read('./readme-example.test-support.ts').replace("'./index.ts'", "'@antiphon/znode-tree'"))
})
