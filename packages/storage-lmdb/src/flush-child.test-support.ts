import { createInterface } from 'node:readline'
import { lmdbStorage } from './index.ts'
import { STORE_ID, Workload } from './workload.test-support.ts'

// A process whose flushes somebody else holds up: writes when it is told to, and answers pings meanwhile.
const store = lmdbStorage({ folder: process.argv[2]!, segmentBytes: 16 * 1024, aheadBytes: 0, mapBytes: 1024 * 1024 })
const tell = (line: string): boolean => process.stdout.write(`${line}\n`)
const workload = Workload.at((await store.open(STORE_ID)).epochs.accepted)
tell(`open ${workload.number}`)
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'ping') tell('pong')
  if (line === 'write') {
    const { write } = workload.next()
    store.write(write, (error) => tell(error === null ? `durable ${write.ticket}` : `failed ${error.code}`))
  }
  if (line === 'close') break
}
await store.close()
tell('closed')
