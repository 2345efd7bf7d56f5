import { parseArgs } from 'node:util'

export interface Options {
  readonly suite: string
  readonly json: boolean
  /** Of each measurement, after `warmUpMs`. */
  readonly measureMs: number
  readonly warmUpMs: number
  /** Every measurement is taken so many times, alternating with its yardstick; the median counts. */
  readonly rounds: number
}

export const USAGE = `npm run bench -- SUITE [--json] [--seconds N] [--rounds N]

  core           three replicas in one process, on memory
  ensemble       three processes with TCP and files, beside the bare pipeline: the same without any protocol
  ensemble.lmdb  the same with stores in LMDB, beside the bare pipeline with LMDB
  reads          linearizable reads of three replicas in one process, by rounds and by lease
  recovery       the replay of a log, and a start behind a snapshot
  snapshot       1,000,000 keys: written while writes go on, and restored
  storage        a log store alone, beside append and fdatasync
  transfer       a snapshot of 200 MiB to an empty observer
  transport      frames a second from one process to another: TCP, TLS and WebSocket beside raw node:net
  znode      one znode tree: reads and writes a second, memory, watches, the end of a session

ANTIPHON_BENCH_FOLDER names the folder whose disk is measured; the system's temporary folder unless told.`

/** @throws Error with a message for the person who typed */
export function parseOptions(args: readonly string[], suites: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, seconds: { type: 'string', default: '1.5' }, rounds: { type: 'string', default: '5' } },
  })
  const [suite, ...more] = positionals
  if (suite === undefined || more.length > 0 || !suites.includes(suite)) throw new Error(`Name one suite: ${suites.join(', ')}.`)
  const seconds = Number(values.seconds)
  if (!(seconds > 0 && seconds <= 600)) throw new Error('--seconds is a number above 0, at most 600.')
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new Error('--rounds is an integer from 1 to 100.')
  return { suite, json: values.json, measureMs: seconds * 1000, warmUpMs: Math.min(500, seconds * 500), rounds }
}
