import { DEBIANS_38 } from './differences.ts'
import { programOf } from './generator.ts'
import { runModel } from './model/model.ts'
import { CLIENTS, tellProgram, wholeProgram } from './program.ts'
import { difference } from './transcript.ts'
import { runOnZookeeper } from './zookeeper/run.ts'
import { startZookeeper } from './zookeeper/server.ts'

const server = await startZookeeper()
console.log(server.port, server.version)
try {
  let next = Number(process.argv[3] ?? 1)
  const last = next + Number(process.argv[2])
  let bad = 0
  const t0 = Date.now()
  const work = async (): Promise<void> => {
    while (next < last && bad < 3) {
      const seed = next++
      if (seed % 50 === 0) console.log(seed, Date.now() - t0)
      const program = wholeProgram(programOf(seed, { steps: 60 }))
      const timer = setTimeout(() => console.log('HANG', seed, tellProgram(program)), 20000)
      const real = await runOnZookeeper(server.port, `/p${seed}`, program, CLIENTS)
      clearTimeout(timer)
      const found = difference(runModel(program.map(({ held: _, ...step }) => step) as typeof program, CLIENTS, DEBIANS_38), real, { exactTimes: false, eventZxids: false, sorted: true })
      if (found !== null) {
        bad++
        console.log(seed, tellProgram(program), found)
      }
    }
  }
  await Promise.all(Array.from({ length: 16 }, work))
  console.log('done', Date.now() - t0)
} finally {
  await server[Symbol.asyncDispose]()
}
