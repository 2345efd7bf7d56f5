import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { type Line, Lines } from './lines.ts'

async function linesOf(chunks: readonly string[], bytesMax = 1000): Promise<Line[]> {
  const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
  const lines = await new Promise<Lines>((resolve) => {
    const made = new Lines(stream, bytesMax, () => resolve(made))
  })
  const all: Line[] = []
  while (!lines.isOver) {
    const line = lines.next()
    if (line === null) await new Promise((resolve) => setImmediate(resolve))
    else all.push(line)
  }
  expect(lines.total).toBe(all.length)
  return all
}

describe('Lines', () => {
  test('are cut wherever the chunks end, in the middle of a character too', async () => {
    const bytes = Buffer.from('one\ntwé\n\nlast')
    for (let cut = 1; cut < bytes.length; cut++) {
      const stream = Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)])
      const lines = await new Promise<Lines>((resolve) => {
        const made = new Lines(stream, 100, () => {
          if (made?.isOver ?? false) resolve(made)
        })
        stream.on('close', () => resolve(made))
      })
      const texts: (string | null)[] = []
      for (let line = lines.next(); line !== null; line = lines.next()) texts.push(line.text)
      expect(texts).toEqual(['one', 'twé', '', 'last'])
    }
  })

  test('above the limit are named and skipped', async () => {
    expect(await linesOf(['ok\n', 'x'.repeat(600), 'x'.repeat(600), '\nok too\n', 'y'.repeat(1001)])).toEqual([
      { number: 1, text: 'ok' },
      { number: 2, text: null },
      { number: 3, text: 'ok too' },
      { number: 4, text: null },
    ])
  })

  test('are held back when nobody takes them, and none is lost', async () => {
    const chunk = Array.from({ length: 10_000 }, (_, i) => `${i}\n`).join('')
    const all = await linesOf(Array.from({ length: 20 }, () => chunk))
    expect(all.length).toBe(200_000)
    expect(all.at(-1)).toEqual({ number: 200_000, text: '9999' })
  })

  test('of an empty stream are over at once', async () => {
    expect(await linesOf([])).toEqual([])
  })
})
