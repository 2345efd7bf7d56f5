/** `npm run chaos -- [--minutes M] [--store file|lmdb] [--links auto|namespaces|proxy] [--seed N] [--json]` */
import { parseArgs } from 'node:util'
import { LINKS, type LinksName } from './links.ts'
import { runChaos } from './run.ts'
import { STORES, type StoreName } from './stores.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    store: { type: 'string', default: 'file' },
    links: { type: 'string', default: 'auto' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    json: { type: 'boolean', default: false },
  },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
const store = values.store as StoreName
const links = values.links as LinksName
if (!(minutes > 0 && minutes <= 24 * 60)) throw new Error(`--minutes takes a number above 0 and at most 1440, not ${values.minutes}`)
if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes an integer, not ${values.seed}`)
if (!STORES.includes(store)) throw new Error(`--store takes one of ${STORES.join(', ')}, not ${values.store}`)
if (!LINKS.includes(links)) throw new Error(`--links takes one of ${LINKS.join(', ')}, not ${values.links}`)

console.log(`five processes, store ${store}, TLS, seed ${seed}`)
const { report, ok } = await runChaos({ seed, store, links, ms: minutes * 60_000, say: console.log })
if (values.json) console.log(JSON.stringify(report))
else console.log(report)
process.exitCode = ok ? 0 : 1
