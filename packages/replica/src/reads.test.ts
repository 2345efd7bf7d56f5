import { zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Reads } from './reads.ts'

function reading() {
  let now = 0
  const ends: string[] = []
  const reads = new Reads(
    () => now,
    () => {},
  )
  const read = (name: string, options: Parameters<Reads['read']>[0] = {}): void =>
    void reads.read(options).then(
      () => ends.push(name),
      (error: { code: string }) => ends.push(`${name} ${error.code}`),
    )
  const settled = async (): Promise<string[]> => {
    await new Promise((resolve) => setImmediate(resolve))
    return ends.splice(0)
  }
  return { reads, read, settled, at: (ms: number) => void (now = ms) }
}

test('rule 23: a read is served once its point is applied here, and not before', async () => {
  const { reads, read, settled } = reading()
  read('a')
  read('b')
  expect(reads.ask()).toBe(1)
  expect(reads.ask()).toBeNull()
  read('c')
  expect(reads.ask()).toBe(2)
  reads.grant(2, zxidOf(1, 5))
  reads.grant(1, zxidOf(1, 4))
  reads.applied(zxidOf(1, 3))
  expect(await settled()).toEqual([])
  reads.applied(zxidOf(1, 4))
  expect(await settled()).toEqual(['a', 'b'])
  reads.applied(zxidOf(1, 9))
  expect(await settled()).toEqual(['c'])
})

test('what is not granted is asked again, with those who came meanwhile', async () => {
  const { reads, read, settled } = reading()
  read('a')
  reads.grant(reads.ask()!, null)
  expect(reads.hasWaiting).toBe(true)
  read('b')
  const again = reads.ask()!
  reads.grant(1, zxidOf(1, 1))
  reads.applied(zxidOf(1, 1))
  expect(await settled()).toEqual([])
  reads.grant(again, zxidOf(1, 1))
  reads.applied(zxidOf(1, 1))
  expect(await settled()).toEqual(['a', 'b'])
})

test('whoever gives up does so wherever the read stands, and nobody is asked for them', async () => {
  const { reads, read, settled, at } = reading()
  const controller = new AbortController()
  read('granted', { timeoutMs: 10 })
  reads.grant(reads.ask()!, zxidOf(1, 9))
  read('asked', { signal: controller.signal })
  reads.ask()
  read('gathered', { timeoutMs: 10 })
  read('wrong', { timeoutMs: -1 })
  controller.abort()
  at(10)
  reads.expire()
  expect((await settled()).sort()).toEqual(['asked ABORTED', 'gathered TIMEOUT', 'granted TIMEOUT', 'wrong INVALID_ARGUMENT'])
  expect(reads.ask()).toBeNull()
  read('late')
  reads.close(null)
  read('after')
  expect(await settled()).toEqual(['late CLOSED', 'after CLOSED'])
})

test('reads that wait are bounded: beyond it they are refused, and those that end make room', async () => {
  const { reads, read, settled } = reading()
  for (let i = 0; i < 100_000; i++) read('waits', i === 0 ? { timeoutMs: 5 } : {})
  read('too many')
  expect(await settled()).toEqual(['too many OVERLOADED'])
  reads.grant(reads.ask()!, zxidOf(1, 1))
  reads.applied(zxidOf(1, 1))
  expect((await settled()).length).toBe(100_000)
  read('again')
  reads.close(null)
  expect(await settled()).toEqual(['again CLOSED'])
})
