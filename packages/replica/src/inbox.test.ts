import { peerId, type Requests, type Zxid, zxidOf } from '@antiphon/consensus-core'
import { expect, test } from 'vitest'
import { Inbox } from './inbox.ts'

const A = zxidOf(1, 1)
const B = zxidOf(1, 2)
const requests = (origin: Zxid, first: number, bytes: number): Requests => ({
  kind: 'REQUESTS',
  origin,
  first,
  confirmed: 0,
  requests: [{ machine: 1, payload: new Uint8Array(bytes) }],
})

function inboxOf(bytesMax: number): {
  inbox: Inbox
  put(origin: Zxid, first: number, bytes: number): void
  drained(most?: number): string[]
  dropped(): Zxid[]
} {
  const inbox = new Inbox(bytesMax)
  return {
    inbox,
    put: (origin, first, bytes) => inbox.enqueue(peerId(origin === A ? 1 : 2), 7, requests(origin, first, bytes)),
    drained(most = 100) {
      const order: string[] = []
      inbox.drain(({ message }) => {
        if (order.length === most) return false
        order.push(`${message.origin === A ? 'A' : 'B'}${message.first}`)
        return true
      })
      return order
    },
    dropped() {
      const origins: Zxid[] = []
      inbox.takeDropped((origin) => void origins.push(origin))
      return origins
    },
  }
}

test('origins are served in turn, each in its own order', () => {
  const { put, drained, inbox } = inboxOf(1000)
  for (const first of [1, 2, 3]) put(A, first, 10)
  put(B, 1, 10)
  put(B, 2, 10)
  expect(drained(3)).toEqual(['A1', 'B1', 'A2'])
  expect(drained()).toEqual(['B2', 'A3'])
  expect(inbox.isEmpty).toBe(true)
})

test("a flood of one origin is dropped at its share, and does not keep another's requests out (rule 22)", () => {
  const { put, drained, dropped } = inboxOf(1000)
  for (let first = 1; first <= 9; first++) put(A, first, 100)
  put(B, 1, 400)
  put(A, 10, 50)
  put(B, 2, 50)
  expect(dropped()).toEqual([])
  expect(drained()).toEqual(['A1', 'B1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'A9'])
  expect(dropped()).toEqual([A, B])
  expect(dropped()).toEqual([])
})

test('one message of an origin is always taken, however large', () => {
  const { put, drained } = inboxOf(100)
  put(A, 1, 5000)
  put(B, 1, 5000)
  put(B, 2, 1)
  expect(drained()).toEqual(['A1', 'B1'])
})

test('of a store only the newest registration waits', () => {
  const { inbox } = inboxOf(100)
  inbox.register({ storeId: 'a', nonce: '1' })
  inbox.register({ storeId: 'b', nonce: '2' })
  inbox.register({ storeId: 'a', nonce: '3' })
  expect([inbox.takeRegistration(), inbox.takeRegistration(), inbox.takeRegistration()]).toEqual([
    { storeId: 'a', nonce: '3' },
    { storeId: 'b', nonce: '2' },
    undefined,
  ])
})
