/** `npm run build`: every package's `dist`, by `tsc -b` under turbo. Silent when it succeeds, so that it can stand before anything else. */
import { turbo } from './run.ts'

const { ok, output } = await turbo('build')
if (!ok) process.stderr.write(output)
process.exitCode = ok ? 0 : 1
