import { type Message, type Outgoing, type PeerId, type Primary, type Requests, zxidOf } from '@antiphon/consensus-core'
import { expect, test } from 'vitest'
import { Inbox } from './inbox.ts'
import { OriginTable } from './origins.ts'
import { Reign, type ReignHost } from './reign.ts'

/** What an origin does (Forwarding.onResend): it sends everything from `next` again. */
test('requests that were dropped twice for want of room are asked for twice', () => {
  const table = new OriginTable()
  const origin = zxidOf(1, 1)
  table.register(origin, '1'.repeat(32), '1'.repeat(16))
  const other = zxidOf(1, 2)
  table.register(other, '2'.repeat(32), '2'.repeat(16))
  const posted: Message[] = []
  const host = {
    machines: [{ name: 'm', machine: {} }],
    forwarding: { origin: other, registration: null, confirmed: 0, request: () => null },
    links: { post: ({ message }: Outgoing) => posted.push(message) },
    random: { uint32: () => 1 },
    clock: { monotonic: () => 0 },
    changeBytesMax: 100,
    originWindow: 1000,
    trouble: () => {},
  } as unknown as ReignHost
  const inbox = new Inbox(1000)
  const primary = (room: number): Primary => ({ epoch: 1, previous: zxidOf(1, 9), previousChecksum: 0, time: 1, entriesRoom: 1e6, bytesRoom: room })
  const reign = new Reign(host, inbox, primary(1e6), table)
  const ask = (from: typeof origin, first: number): Requests => ({
    kind: 'REQUESTS',
    origin: from,
    first,
    confirmed: 0,
    requests: [{ machine: 1, payload: new Uint8Array(900) }],
  })
  for (let drop = 0; drop < 2; drop++) {
    // The first is taken (the second time as one that stands in the order already); behind it there is no room.
    inbox.enqueue(2 as PeerId, 21, ask(origin, 1))
    inbox.enqueue(2 as PeerId, 21, ask(origin, 2))
    posted.length = 0
    reign.fill(primary(1e6))
    expect(posted, `drop ${drop + 1}`).toEqual([{ kind: 'RESEND', origin, next: 2 }])
  }
})
