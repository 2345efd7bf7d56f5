import { testTransport } from '@antiphon/conformance'
import { test } from 'vitest'
import { heapUsed, relayedNetwork } from '../../../test/support/relayed-network.ts'
import { webSocketTransport } from './index.ts'

testTransport(test, {
  severs: true,
  strangers: true,
  vanishes: true,
  heapUsed,
  network: () =>
    relayedNetwork({
      create: () => webSocketTransport({ listen: '127.0.0.1:0', redialMs: { min: 1, max: 4 }, probeTimeoutMs: 50 }),
      addressOf: (port) => `ws://127.0.0.1:${port}/antiphon`,
    }),
})
