import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { play } from './script.ts'

const folder = new URL('./scripts/', import.meta.url)

/** `UPDATE=1` rewrites what the scenarios print; a person reads the difference. */
const update = process.env['UPDATE'] === '1'

for (const file of readdirSync(folder).sort()) {
  const path = new URL(file, folder)
  const text = readFileSync(path, 'utf8')
  test(`scenario ${file}: ${text.split('\n')[0]!.replace(/^# /, '')}`, () => {
    const told = play(text)
    if (update) writeFileSync(path, told)
    else expect(told).toBe(text)
  })
}
