/** `npm run diff:zookeeper -- [--programs N] [--seed S] [--json]`: our tree and Debian's ZooKeeper 3.8, run on the same programs. */
import { parseArgs } from 'node:util'
import { DIFFERENCES, LEFT_OUT } from '../differences.ts'
import { compare } from './compare.ts'
import { missingZookeeper, startZookeeper } from './server.ts'

const { values } = parseArgs({
  options: { programs: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' }, json: { type: 'boolean', default: false } },
})
const [programs, seed] = [Number(values.programs), Number(values.seed)]
for (const [name, value] of Object.entries({ programs, seed }))
  if (!Number.isSafeInteger(value) || value < 1 || value > 2 ** 31 - 1) throw new Error(`--${name} takes a positive integer below 2^31, not ${value}`)

const missing = missingZookeeper()
if (missing !== null) {
  console.error(missing)
  process.exitCode = 1
} else {
  const server = await startZookeeper()
  try {
    console.log(`ZooKeeper ${server.version} on 127.0.0.1:${server.port}`)
    const started = Date.now()
    const { meant, ...total } = await compare(server.port, seed, programs, console.log)
    const seconds = Math.round((Date.now() - started) / 100) / 10
    for (const [name, reason] of Object.entries(DIFFERENCES)) console.log(`meant, in ${meant[name as keyof typeof meant]} programs: ${name}. ${reason}`)
    for (const what of LEFT_OUT) console.log(`left out: ${what}`)
    console.log(values.json ? JSON.stringify({ ...total, meant, seconds }) : { ...total, seconds })
    process.exitCode = total.differences === 0 && total.programs === programs ? 0 : 1
  } finally {
    await server[Symbol.asyncDispose]()
  }
}
