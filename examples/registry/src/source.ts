import { fstatSync, readFileSync } from 'node:fs'
import { type Line, Lines } from './lines.ts'

/** What one write puts into the registry. */
export interface Entry {
  readonly name: string
  readonly record: unknown
}

/** What is left to write. */
export interface Source {
  readonly what: string
  /** The next one; null when there is none at the moment. */
  next(): Entry | null
  /** Nothing will follow. */
  readonly isOver: boolean
  /** It is all there is, rather than to be had again and again. */
  readonly isFinite: boolean
  /** Whether the next one belongs to the second half; null while that cannot be known. */
  readonly isPastHalf: boolean | null
  /** What could not be taken. */
  readonly bad: number
  close(): void
}

interface LockFile {
  readonly packages?: Readonly<
    Record<string, { readonly version?: string; readonly resolved?: string; readonly integrity?: string; readonly license?: string; readonly link?: boolean }>
  >
}

/** Cycles the packages of a lock file; `progress` runs from 0 to 1. */
export function lockFileSource(file: URL, progress: () => number): Source {
  const { packages = {} }: LockFile = JSON.parse(readFileSync(file, 'utf8'))
  const entries = Object.entries(packages)
    .filter(([path, { link }]) => path !== '' && link !== true)
    .map(([path, { version, resolved, integrity, license }]) => ({
      name: path.replace(/^.*node_modules\//, ''),
      record: { path, version, resolved, integrity, license },
    }))
  if (entries.length === 0) throw new Error(`${file.pathname} lists no packages`)
  let at = 0
  return {
    what: `the ${entries.length} packages of package-lock.json, again and again`,
    isFinite: false,
    next: () => entries[at++ % entries.length] ?? null,
    get isOver() {
      return progress() >= 1
    },
    get isPastHalf() {
      return progress() > 0.5
    },
    bad: 0,
    close() {},
  }
}

/** A pipe that stays open and silent for so long is no input: programs that start others leave such pipes. */
const SILENCE_MS = 4000
/** The replicas take requests of 1 MiB, and some more; the record is a part of one. */
const LINE_BYTES_MAX = 1024 * 1024

/** Standard input as NDJSON, if something is piped in; null when nothing is. `say` is told of each line that is no record, which is skipped, and of a pipe that brings nothing. */
export async function pipedSource(say: (text: string) => void): Promise<Source | null> {
  if (!isPiped()) return null
  const { stdin } = process
  const lines = await new Promise<Lines>((resolve) => {
    const made = new Lines(stdin, LINE_BYTES_MAX, () => resolve(made))
    setTimeout(() => resolve(made), SILENCE_MS).unref()
  })
  // A pipe that stays open would keep this process alive.
  const close = (): void => void stdin.destroy()
  if (lines.isEmpty) {
    say(lines.isOver ? 'standard input is empty' : `standard input is open, and nothing came in ${SILENCE_MS / 1000} s: it is closed`)
    close()
    return null
  }
  let taken = 0
  let bad = 0
  const entryOf = ({ number, text }: Line): Entry | null => {
    if (text !== null && text.trim() === '') return null
    try {
      if (text === null) throw new Error(`longer than ${LINE_BYTES_MAX} bytes`)
      const record: unknown = JSON.parse(text)
      const { name } = Object(record) as { name?: unknown }
      return { name: typeof name === 'string' ? name : `line ${number}`, record }
    } catch (error) {
      bad++
      say(`line ${number} of the input is no record and was skipped: ${error instanceof Error ? error.message : String(error)}`)
      return null
    }
  }
  return {
    what: 'standard input',
    isFinite: true,
    next() {
      for (let line = lines.next(); line !== null; line = lines.next()) {
        taken++
        const entry = entryOf(line)
        if (entry !== null) return entry
      }
      return null
    },
    get isOver() {
      return lines.isOver
    },
    get isPastHalf() {
      return lines.total === null ? null : (taken + 1) * 2 > lines.total
    },
    get bad() {
      return bad
    },
    close,
  }
}

function isPiped(): boolean {
  try {
    const stat = fstatSync(0)
    return stat.isFIFO() || stat.isFile() || stat.isSocket()
  } catch {
    return false
  }
}
