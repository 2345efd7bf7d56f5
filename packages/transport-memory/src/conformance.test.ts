import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { testTransport } from '@antiphon/conformance'
import { test } from 'vitest'
import { MemoryNetwork } from './index.ts'

/** After everything was collected that can be. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 4; i++) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

testTransport(test, {
  severs: true,
  vanishes: true,
  heapUsed,
  async network() {
    const network = new MemoryNetwork({ redialMs: { min: 1, max: 4 } })
    return {
      create: (peer) => ({ transport: network.transport(`peer-${peer}`), address: () => `peer-${peer}` }),
      sever: (a, b) => network.drop(`peer-${a}`, `peer-${b}`),
      vanish: (peer) => network.crash(`peer-${peer}`),
      close: async () => {},
    }
  },
})
