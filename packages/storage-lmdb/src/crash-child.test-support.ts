import { lmdbStorage } from './index.ts'
import { chunksOf, STORE_ID, Workload } from './workload.test-support.ts'

// A process that is killed: goes on with the workload where its store stands, and tells what was called durable, and what it is about.
const store = lmdbStorage({ folder: process.argv[2]!, segmentBytes: 16 * 1024, aheadBytes: 128 * 1024, mapBytes: 1024 * 1024 })
const state = await store.open(STORE_ID)
const workload = Workload.at(state.epochs.accepted)
const difference = await workload.differs(store, state)
if (difference !== null) tell(`failed ${difference}`)
tell(`open ${workload.number}`)

function tell(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function* slowly<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve))
    yield item
  }
}

const underWay: Promise<void>[] = []
for (;;) {
  const { write, staged, meta } = workload.next()
  const { ticket } = write
  if (write.truncateTo !== null) tell('about truncate')
  let install: number | null = null
  if (staged !== null) {
    tell('about install')
    install = await store.stage(meta, slowly(chunksOf(meta)))
    store.stageAppend(install, [staged], () => undefined)
  }
  underWay.push(
    new Promise((resolve) =>
      store.write({ ...write, install }, (error) => {
        tell(error === null ? `durable ${ticket}` : `failed ${error.code}: ${error.message}`)
        resolve()
      }),
    ),
  )
  if (underWay.length > 4) await underWay.shift()
  if (ticket % 10 === 0) {
    await Promise.all(underWay.splice(0))
    tell('about snapshot')
    const at = workload.meta()
    await store.saveSnapshot(at, slowly(chunksOf(at)))
    tell('about compact')
    await store.compact(1, at.zxid)
  }
}
