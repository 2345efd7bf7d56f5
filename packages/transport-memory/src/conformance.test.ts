import { testTransport } from '@antiphon/conformance'
import { test } from 'vitest'
import { MemoryNetwork } from './index.ts'

testTransport(test, {
  severs: true,
  async network() {
    const network = new MemoryNetwork()
    return {
      create: (peer) => ({ transport: network.transport(`peer-${peer}`), address: () => `peer-${peer}` }),
      sever: (a, b) => network.drop(`peer-${a}`, `peer-${b}`),
      close: async () => {},
    }
  },
})
