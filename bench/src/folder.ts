import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder for the logs of one suite, gone afterwards. ANTIPHON_BENCH_FOLDER names where: what is measured is that disk. */
export async function inFolder<Value>(body: (folder: string) => Promise<Value>): Promise<Value> {
  const { ANTIPHON_BENCH_FOLDER } = process.env
  const folder = await mkdtemp(join(ANTIPHON_BENCH_FOLDER ?? tmpdir(), 'antiphon-bench-'))
  const goAtOnce = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', goAtOnce)
  try {
    return await body(folder)
  } finally {
    process.off('exit', goAtOnce)
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}
