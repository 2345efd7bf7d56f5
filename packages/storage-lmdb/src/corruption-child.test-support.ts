import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { AntiphonError } from '@antiphon/ports'
import { lmdbStorage } from './index.ts'
import { STORE_ID, Workload } from './workload.test-support.ts'

// For each offset that it is told: opens the store with that byte of the data file changed, and tells what becomes of it. LMDB checks no page of its own, so that it may take the process along.
const [folder = '', undamaged = '', number = ''] = process.argv.slice(2)
const file = `${folder}/data.mdb`
const whole = readFileSync(undamaged)
const workload = Workload.at(Number(number))

for await (const line of createInterface({ input: process.stdin })) {
  const at = Number(line)
  const bytes = Buffer.from(whole)
  bytes[at]! ^= 0xff
  rmSync(`${file}-lock`, { force: true })
  writeFileSync(file, bytes)
  process.stdout.write(`${at} ${await outcome()}\n`)
}

async function outcome(): Promise<string> {
  const store = lmdbStorage({ folder, mainThread: true, aheadBytes: 0 })
  try {
    return (await workload.differs(store, await store.open(STORE_ID))) === null ? 'same' : 'different'
  } catch (error) {
    return error instanceof AntiphonError ? error.code : `unnamed ${String(error)}`
  } finally {
    await store.close()
  }
}
