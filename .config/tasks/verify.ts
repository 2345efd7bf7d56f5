/** `npm run verify [-- --json]` */
import { verify } from './checks.ts'

const checks = await verify()
const failed = checks.filter(({ ok }) => !ok).length
console.log(`${checks.length - failed} passed, ${failed} failed`)
if (process.argv.includes('--json')) console.log(JSON.stringify({ passed: checks.length - failed, failed, checks }))
process.exitCode = failed === 0 ? 0 : 1
