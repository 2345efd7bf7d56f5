import { readFileSync } from 'node:fs'

/** A file of the workspace; `path` from its root. */
export function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

/** The rows of the page's last Markdown table, without its head; cells without their backticks. */
export function rowsOf(page: string): string[][] {
  const rows = page.split('\n').filter((line) => line.startsWith('|'))
  const head = rows.findLastIndex((line) => /^\|[-|]+\|$/.test(line))
  return rows.slice(head + 1).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}
