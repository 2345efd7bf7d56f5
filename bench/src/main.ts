/** `npm run bench -- SUITE [--json]`: measures, prints a line for each result, and with `--json` one object as the last line. Exit status 0 when everything could be measured. */
import { core } from './core.ts'
import { ensemble, ensembleLmdb } from './ensemble.ts'
import { type Options, parseOptions, USAGE } from './options.ts'
import { reads } from './reads.ts'
import { recovery } from './recovery.ts'
import { lineOf, type Result } from './report.ts'
import { snapshot } from './snapshot.ts'
import { storage } from './storage.ts'
import { transfer } from './transfer.ts'
import { transport } from './transport.ts'
import { znode } from './znode.ts'

const SUITES: Readonly<Record<string, (options: Options) => Promise<Result[]>>> = {
  core,
  ensemble,
  'ensemble.lmdb': ensembleLmdb,
  reads,
  recovery,
  snapshot,
  storage,
  transfer,
  transport,
  znode,
}

// What a suite has started ends with this process: children by their closed channel, folders when it exits.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.once(signal, () => process.exit(128 + number))
}

let options: Options | null = null
try {
  options = parseOptions(process.argv.slice(2), Object.keys(SUITES))
} catch (error) {
  console.error(`${(error as Error).message}\n\n${USAGE}`)
  process.exitCode = 2
}

if (options !== null) {
  try {
    const results = await SUITES[options.suite]!(options)
    for (const one of results) console.log(lineOf(one))
    if (options.json) console.log(JSON.stringify({ suite: options.suite, results }))
  } catch (error) {
    console.error(error)
    if (options.json) console.log(JSON.stringify({ suite: options.suite, results: [], error: (error as Error).message }))
    process.exitCode = 1
  }
}
