import { testLogStore } from '@antiphon/conformance'
import { test } from 'vitest'
import { memoryStorage } from './index.ts'

testLogStore(test, {
  supports: { durable: false, browser: true },
  // The object is the place: opened again, it still holds what it held.
  reopens: true,
  async place() {
    const store = memoryStorage()
    return { create: () => store, remove: async () => {} }
  },
})
