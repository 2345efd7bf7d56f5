import { parseArgs } from 'node:util'

export interface Options {
  /** Writes a second. */
  readonly rate: number
  /** For how long the lock file is cycled, at least. */
  readonly seconds: number
  readonly json: boolean
}

export const USAGE = `npm start -- [--rate N] [--seconds S] [--json]

Three processes on loopback replicate a registry of packages through the death of their leader.
Standard input, if piped, is taken as NDJSON: one record a line. Else, or when the pipe is empty or silent for 4 s, the packages of
package-lock.json are cycled.

  --rate N      writes a second (500)
  --seconds S   how long the lock file is cycled, at least (5)
  --json        the last line is one JSON object
`

/** @throws Error with a message for the person who typed it */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rate: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  return { rate: positive('--rate', values.rate, 100_000), seconds: positive('--seconds', values.seconds, 3600), json: values.json }
}

function positive(name: string, text: string, most: number): number {
  const value = Number(text)
  if (!(value > 0 && value <= most)) throw new Error(`${name} must be a number above 0, up to ${most}, not ${JSON.stringify(text)}`)
  return value
}
