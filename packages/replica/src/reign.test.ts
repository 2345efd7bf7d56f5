import {
  entryKind,
  entryLength,
  entryMachine,
  entryOrigin,
  entryPending,
  entrySequence,
  KIND_REFUSAL,
  type Message,
  type PeerId,
  type Primary,
  payloadEnd,
  payloadStart,
  type Request,
  type Run,
  ZERO,
  type Zxid,
  zxidOf,
} from '@antiphon/consensus-core'
import type { Clock, PrimaryContext, StateMachine, Transport } from '@antiphon/ports'
import { decodeMessage } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Forwarding } from './forwarding.ts'
import { Inbox } from './inbox.ts'
import { Links } from './links.ts'
import { decodeConfirmation, decodeRetirement, OriginTable } from './origins.ts'
import { Proposals } from './proposals.ts'
import { decodeRefusal } from './refusal.ts'
import { Reign } from './reign.ts'

const STORE = 'ab'.repeat(16)
const OTHER_STORE = 'cd'.repeat(16)
const ROOM = 1024 * 1024
const PEER = 2 as PeerId
const CLOCK: Clock = { monotonic: () => 77.5, wall: () => 5000, schedule: () => () => {}, defer: () => {} }

/** Keeps what is sent. Takes nothing while `full`. */
class SentTransport implements Transport {
  readonly sent: Message[] = []
  readonly disconnected: number[] = []
  full = false
  async start(): Promise<void> {}
  setPeers(): void {}
  send(_to: PeerId, pieces: readonly Uint8Array[]): boolean {
    if (!this.full) this.sent.push(decodeMessage(Uint8Array.from(pieces.flatMap((piece) => [...piece]))))
    return !this.full
  }
  disconnect(_peer: PeerId, connection: number): void {
    this.disconnected.push(connection)
  }
  async close(): Promise<void> {}
}

/** Requests are texts; the change is the text, in capitals. */
function capitals(): StateMachine<string, null> & { prepared: string[]; taken: number; contexts: PrimaryContext[] } {
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
  return {
    name: 'capitals',
    version: 1,
    prepared: [],
    taken: 0,
    contexts: [],
    encodeRequest: (text) => new TextEncoder().encode(text),
    decodeRequest: decode,
    encodeResult: () => new Uint8Array(0),
    decodeResult: () => null,
    leading(context) {
      this.contexts.push({ ...context })
    },
    prepare(request, context) {
      this.contexts.push({ ...context })
      const text = decode(request)
      if (text.startsWith('!')) throw Object.assign(new Error(`no ${text}`), { code: 'NO' })
      this.prepared.push(text)
      return new TextEncoder().encode(text.toUpperCase())
    },
    unprepare() {
      this.taken++
      this.prepared.pop()
    },
    tick(context) {
      this.contexts.push({ ...context })
      return ['by tick', '!by tick']
    },
    apply: () => [],
    snapshot: () => [],
    restore: async () => {},
  }
}

interface Entry {
  readonly origin: Zxid
  readonly sequence: number
  readonly pending: number
  readonly machine: number
  readonly text: string
}

function tellOwn(payload: Uint8Array): string {
  const confirmation = decodeConfirmation(payload, 0, payload.length)
  if (confirmation !== null) return `confirmation of ${confirmation.confirmed}`
  return decodeRetirement(payload, 0, payload.length) === null ? 'registration' : 'retirement'
}

function entriesOf(run: Run | null): Entry[] {
  const entries: Entry[] = []
  const bytes = run?.bytes ?? new Uint8Array(0)
  for (let at = 0; at < bytes.length; at += entryLength(bytes, at)) {
    const payload = bytes.subarray(payloadStart(at), payloadEnd(bytes, at))
    const refused = entryKind(bytes, at) === KIND_REFUSAL
    const machine = entryMachine(bytes, at)
    const text = machine === 0 ? tellOwn(payload) : refused ? decodeRefusal(payload, 0, payload.length).message : new TextDecoder().decode(payload)
    entries.push({ origin: entryOrigin(bytes, at), sequence: entrySequence(bytes, at), pending: entryPending(bytes, at), machine, text })
  }
  return entries
}

const ORIGIN = zxidOf(1, 7)
const OURS = zxidOf(1, 8)

/** A reign in epoch 2 whose applied table has another's row at ORIGIN, up to number 5, and our own at OURS. */
function reigning(limits: { window?: number; changeBytesMax?: number; inboxBytesMax?: number } = {}) {
  const { window = 10, changeBytesMax = 100, inboxBytesMax = 10_000 } = limits
  const random = { uint32: () => 4 }
  const transport = new SentTransport()
  const links = new Links(transport, 1000)
  links.up(PEER, 1, OTHER_STORE)
  const proposals = new Proposals(
    { requestBytesMax: changeBytesMax, queueBytesMax: 100_000 },
    () => 0,
    () => {},
  )
  const forwarding = new Forwarding({ storeId: STORE, random, proposals, links, machines: [], window, resultsBytesMax: 1000, tell: () => {} })
  const table = new OriginTable()
  Object.assign(table.register(ORIGIN, OTHER_STORE, '11'.repeat(8)), { last: 5, confirmed: 4 })
  table.register(OURS, STORE, forwarding.registration.nonce)
  forwarding.onRegistered(OURS, forwarding.registration)
  const inbox = new Inbox(inboxBytesMax)
  const machine = capitals()
  const troubles: string[] = []
  const host = {
    machines: [{ name: 'capitals', machine }],
    forwarding,
    links,
    random,
    clock: CLOCK,
    tickMs: 100,
    changeBytesMax,
    originWindow: window,
    retireOriginTicks: 3,
    trouble: (error: Error) => void troubles.push(error.message),
  }
  const primary: Primary = { epoch: 2, previous: zxidOf(1, 20), previousChecksum: 7, time: 1000, entriesRoom: 1000, bytesRoom: ROOM }
  const reign = new Reign(host, inbox, primary, table)
  const fill = (room: Partial<Primary> = {}): Entry[] => entriesOf(reign.fill({ ...primary, ...room }))
  const enqueue = (first: number, texts: readonly string[], confirmed = 4, origin: Zxid = ORIGIN): void =>
    inbox.enqueue(PEER, 1, {
      kind: 'REQUESTS',
      origin,
      first,
      confirmed,
      requests: texts.map((text): Request => ({ machine: 1, payload: new TextEncoder().encode(text) })),
    })
  const ask = (text: string): void => void proposals.propose(1, new TextEncoder().encode(text), undefined).catch(() => {})
  return { reign, inbox, machine, transport, links, proposals, forwarding, table, fill, enqueue, ask, troubles, primary }
}

test('rule 22: exactly the next number of an origin is taken, what is in the history already is passed over', () => {
  const { fill, enqueue, machine, transport, table } = reigning()
  enqueue(4, ['old', 'last', 'next', 'after'])
  expect(fill().map(({ sequence, text }) => `${sequence} ${text}`)).toEqual(['6 NEXT', '7 AFTER'])
  expect(machine.prepared).toEqual(['next', 'after'])
  // The same again, on a new connection: judged against everything proposed, not against what is applied.
  enqueue(4, ['old', 'last', 'next', 'after', 'new'])
  expect(fill().map(({ text }) => text)).toEqual(['NEW'])
  expect(transport.sent).toEqual([])
  expect(table.get(ORIGIN)?.last).toBe(5)
})

test('what is prepared is told the ZXID that its entry has, and the monotonic time', () => {
  const { reign, enqueue, machine, primary } = reigning({ changeBytesMax: 8 })
  enqueue(6, ['six', '!refused', 'much too long', 'nine'])
  reign.tick(primary)
  const run = reign.fill(primary)!
  expect(machine.contexts.map(({ zxid }) => zxid)).toEqual([1, 1, 1, 2, 2, 3, 4, 5].map((counter) => zxidOf(2, counter)))
  expect(entriesOf(run).map(({ text }) => text)).toEqual(['BY TICK', 'SIX', 'no !refused', expect.stringMatching(/13/), 'NINE'])
  reign.tick({ ...primary, previous: run.last, time: 1001 })
  expect(machine.contexts.at(-1)).toMatchObject({ epoch: 2, zxid: zxidOf(2, 6), time: 1001, monotonic: CLOCK.monotonic() })
})

test('a gap is answered with RESEND from the next number, once', () => {
  const { fill, enqueue, transport } = reigning()
  enqueue(8, ['eight'])
  enqueue(9, ['nine'])
  expect(fill()).toEqual([])
  expect(transport.sent).toEqual([{ kind: 'RESEND', origin: ORIGIN, next: 6 }])
  enqueue(6, ['six', 'seven', 'eight'])
  expect(fill().map(({ sequence }) => sequence)).toEqual([6, 7, 8])
})

test('an origin without a row is told RETIRED, and nothing of it is prepared', () => {
  const { fill, enqueue, transport, machine } = reigning()
  enqueue(1, ['a'], 0, zxidOf(1, 3))
  expect(fill()).toEqual([])
  expect(transport.sent).toEqual([{ kind: 'RETIRED', origin: zxidOf(1, 3) }])
  expect(machine.prepared).toEqual([])
})

test('an entry says how many results its origin is behind, and the window bounds that', () => {
  const { fill, enqueue, transport } = reigning({ window: 3 })
  enqueue(6, ['six', 'seven', 'eight'], 4)
  expect(fill().map(({ sequence, pending }) => [sequence, pending])).toEqual([
    [6, 2],
    [7, 3],
  ])
  expect(transport.sent).toEqual([{ kind: 'RESEND', origin: ORIGIN, next: 8 }])
  enqueue(8, ['eight'], 6)
  expect(fill().map(({ sequence, pending }) => [sequence, pending])).toEqual([[8, 2]])
})

test('rule 22: a registration that is sent twice makes one entry, in the same batch, later, or when it is applied', () => {
  const { fill, inbox, table } = reigning()
  const registration = { storeId: 'ef'.repeat(16), nonce: '22'.repeat(8) }
  inbox.register(registration)
  inbox.register(registration)
  expect(fill().map(({ text }) => text)).toEqual(['registration'])
  inbox.register(registration)
  inbox.register({ storeId: OTHER_STORE, nonce: table.get(ORIGIN)!.nonce })
  expect(fill()).toEqual([])
})

test("registering retires the replica's earlier row at once", () => {
  const { fill, inbox, enqueue, transport } = reigning()
  inbox.register({ storeId: OTHER_STORE, nonce: '33'.repeat(8) })
  enqueue(6, ['six'])
  expect(fill().map(({ text }) => text)).toEqual(['registration'])
  expect(transport.sent).toEqual([{ kind: 'RETIRED', origin: ORIGIN }])
})

test('our own requests take the same way, from the first that the history lacks', () => {
  const { fill, ask, forwarding, proposals } = reigning({ window: 4 })
  for (const text of ['a', 'b', 'c', 'd', 'e']) ask(text)
  expect(fill().map(({ origin, sequence, pending, text }) => [origin, sequence, pending, text])).toEqual([
    [OURS, 1, 1, 'A'],
    [OURS, 2, 2, 'B'],
    [OURS, 3, 3, 'C'],
    [OURS, 4, 4, 'D'],
  ])
  expect(fill()).toEqual([])
  proposals.slots.settleUpTo(2)
  expect(forwarding.confirmed).toBe(2)
  expect(fill().map(({ sequence, pending, text }) => [sequence, pending, text])).toEqual([[5, 3, 'E']])
})

test('a refusal takes the place of the change; of what the reign asks by itself it needs none', () => {
  const { fill, ask, reign, primary, troubles } = reigning()
  reign.tick(primary)
  ask('!this')
  ask('x'.repeat(100))
  expect(fill().map(({ origin, sequence, text }) => [origin, sequence, text])).toEqual([
    [ZERO, 0, 'BY TICK'],
    [OURS, 1, 'no !this'],
    [OURS, 2, 'X'.repeat(100)],
  ])
  expect(troubles).toEqual([])
})

test('a change above the limit is taken back and refused', () => {
  const { fill, enqueue, machine } = reigning({ changeBytesMax: 10 })
  enqueue(6, ['x'.repeat(11), 'next'])
  const entries = fill()
  expect(entries[0]).toMatchObject({ sequence: 6, text: expect.stringContaining('11 bytes') })
  expect(entries[1]).toMatchObject({ sequence: 7, text: 'NEXT' })
  expect([machine.taken, machine.prepared]).toEqual([1, ['next']])
})

test('nothing is prepared without room for its largest change, and nothing is lost for want of room', () => {
  const { fill, enqueue, ask, machine, reign } = reigning({ changeBytesMax: 100 })
  enqueue(6, ['six', 'seven'])
  ask('ours')
  expect(fill({ bytesRoom: 155 })).toEqual([])
  expect(fill({ entriesRoom: 0 })).toEqual([])
  expect(machine.prepared).toEqual([])
  expect(reign.hasWaiting).toBe(true)
  expect(fill({ entriesRoom: 1 })).toHaveLength(1)
  expect(fill({ bytesRoom: 156 })).toHaveLength(1)
  expect(fill()).toHaveLength(1)
  expect(machine.prepared.sort()).toEqual(['ours', 'seven', 'six'])
  expect(reign.hasWaiting).toBe(false)
})

test('when room is short neither we nor the others starve', () => {
  const { fill, enqueue, ask } = reigning({ window: 100 })
  enqueue(6, ['1', '2', '3', '4', '5', '6'])
  for (let i = 0; i < 6; i++) ask('ours')
  const origins = [1, 2, 3, 4].map(() => fill({ entriesRoom: 1 })[0]!.origin)
  expect(new Set(origins)).toEqual(new Set([ORIGIN, OURS]))
})

test('what the inbox has no room for is asked for again once there is', () => {
  const { fill, enqueue, transport } = reigning({ inboxBytesMax: 10 })
  enqueue(6, ['123456789'])
  enqueue(7, ['dropped'])
  expect(fill().map(({ sequence }) => sequence)).toEqual([6])
  expect(transport.sent).toEqual([{ kind: 'RESEND', origin: ORIGIN, next: 7 }])
})

test('a machine that throws in tick is told of, and the others go on', () => {
  const { reign, machine, troubles, primary, fill } = reigning()
  machine.tick = () => {
    throw new Error('not today')
  }
  reign.tick(primary)
  expect(troubles).toEqual([expect.stringContaining('not today')])
  expect(fill()).toEqual([])
})

test('rule 22: a row that was gone before we could look leaves what was sent unknown, and what never left goes on under the next one', async () => {
  const { proposals, forwarding, reign, inbox, primary, fill } = reigning()
  const ended = proposals.propose(1, new Uint8Array(1), undefined).catch((error: { code: string; outcome: string }) => `${error.code} ${error.outcome}`)
  expect(fill()).toHaveLength(1)
  const waiting = proposals.propose(1, new Uint8Array(1), undefined)
  const host = {
    machines: [],
    forwarding,
    links: new Links(new SentTransport(), 1),
    random: { uint32: () => 9 },
    clock: CLOCK,
    tickMs: 100,
    changeBytesMax: 100,
    originWindow: 10,
    retireOriginTicks: 3,
    trouble: () => {},
  }
  const before = forwarding.registration.nonce
  proposals.slots.number()
  forwarding.onJump(new OriginTable())
  const next = new Reign(host, inbox, primary, new OriginTable())
  expect(await ended).toBe('ABORTED unknown')
  expect([proposals.slots.waiting, forwarding.origin]).toEqual([1, ZERO])
  expect(entriesOf(next.fill(primary)).map(({ text }) => text)).toEqual(['registration'])
  expect(forwarding.registration.nonce).toHaveLength(before.length)
  reign.end()
  proposals.close(null)
  await expect(waiting).rejects.toMatchObject({ code: 'CLOSED', outcome: 'rejected' })
})

test('a follower registers once, then sends what waits, and again to a new leader from the first unsettled number', () => {
  const { forwarding, transport, proposals, links } = reigning()
  const leader = { peer: PEER, connection: 1 }
  const asked = (): string[] =>
    transport.sent
      .splice(0)
      .map((message) => (message.kind === 'REQUESTS' ? `${message.first}+${message.requests.length}, ${message.confirmed} seen` : message.kind))
  const ask = (): void => void proposals.propose(1, new Uint8Array(3), undefined).catch(() => {})
  forwarding.onRetired(OURS)
  forwarding.onLeader()
  ask()
  ask()
  forwarding.flush(leader)
  forwarding.flush(leader)
  expect(asked()).toEqual(['REGISTER'])
  forwarding.onLeader()
  forwarding.flush(leader)
  expect(asked()).toEqual(['REGISTER'])
  forwarding.onRegistered(zxidOf(1, 30), forwarding.registration)
  forwarding.flush(leader)
  ask()
  forwarding.flush(leader)
  forwarding.flush(leader)
  expect(asked()).toEqual(['1+2, 0 seen', '3+1, 0 seen'])
  proposals.slots.settleUpTo(1)
  forwarding.onLeader()
  forwarding.flush(leader)
  expect(asked()).toEqual(['2+2, 1 seen'])
  // Settled by what the new leader's history held, before anything is sent.
  forwarding.onLeader()
  proposals.slots.settleUpTo(2)
  forwarding.flush(leader)
  expect(asked()).toEqual(['3+1, 2 seen'])
  forwarding.onResend(zxidOf(1, 30), 3)
  forwarding.flush(leader)
  expect(asked()).toEqual(['3+1, 2 seen'])
  forwarding.onResend(zxidOf(9, 9), 1)
  forwarding.flush(leader)
  expect(asked()).toEqual([])
  transport.full = true
  ask()
  forwarding.flush(leader)
  transport.full = false
  forwarding.flush(leader)
  expect(asked()).toEqual(['4+1, 2 seen'])
  links.down(PEER, 1)
  ask()
  forwarding.flush(leader)
  expect(asked()).toEqual([])
})

test('a follower gives no number beyond its window', () => {
  const { forwarding, transport, proposals } = reigning({ window: 3 })
  for (let i = 0; i < 5; i++) void proposals.propose(1, new Uint8Array(1), undefined).catch(() => {})
  forwarding.onLeader()
  forwarding.flush({ peer: PEER, connection: 1 })
  expect(proposals.slots.lastNumber).toBe(3)
  proposals.slots.settleUpTo(1)
  forwarding.flush({ peer: PEER, connection: 1 })
  expect(transport.sent.map((message) => (message.kind === 'REQUESTS' ? message.requests.length : 0))).toEqual([3, 1])
})

test('rule 22, first form: what a snapshot jumped over is unknown, the rest stays under way', async () => {
  const { forwarding, proposals } = reigning()
  const ends: string[] = []
  for (const name of ['a', 'b', 'c', 'd'])
    void proposals.propose(1, new Uint8Array(1), undefined).then(
      () => ends.push(`${name} done`),
      (error: { code: string; outcome: string }) => ends.push(`${name} ${error.outcome}`),
    )
  for (let i = 0; i < 3; i++) proposals.slots.number()
  const table = new OriginTable()
  Object.assign(table.register(OURS, STORE, forwarding.registration.nonce), { last: 2 })
  forwarding.onJump(table)
  await Promise.resolve()
  await Promise.resolve()
  expect(ends).toEqual(['a unknown', 'b unknown'])
  expect([forwarding.origin, proposals.slots.confirmed, proposals.slots.lastNumber]).toEqual([OURS, 2, 3])
  proposals.slots.resolve(3, 'c')
  forwarding.onJump(new OriginTable())
  await Promise.resolve()
  await Promise.resolve()
  expect(ends).toEqual(['a unknown', 'b unknown', 'c done'])
  expect([forwarding.origin, proposals.slots.waiting]).toEqual([ZERO, 1])
  proposals.close(null)
})

test('rule 19: a commit point rides on the PROPOSE of its turn, or goes by itself at the end', () => {
  const { transport, links, reign, primary, ask } = reigning()
  const commit = (counter: number): Message => ({ kind: 'COMMIT', epoch: 2, committed: zxidOf(2, counter) })
  links.post({ to: PEER, connection: 1, message: commit(1) })
  links.post({ to: PEER, connection: 1, message: commit(2) })
  expect(transport.sent).toEqual([])
  links.postCommits()
  links.postCommits()
  expect(transport.sent.splice(0)).toEqual([commit(2)])
  ask('x')
  const run = reign.fill(primary)!
  const propose = (counter: number): Message => ({ kind: 'PROPOSE', epoch: 2, committed: zxidOf(2, counter), run })
  links.post({ to: PEER, connection: 1, message: commit(3) })
  links.post({ to: PEER, connection: 1, message: propose(3) })
  links.postCommits()
  expect(transport.sent.splice(0).map(({ kind }) => kind)).toEqual(['PROPOSE'])
  // One of a transfer says nothing of the commit point.
  links.post({ to: PEER, connection: 1, message: commit(4) })
  links.post({ to: PEER, connection: 1, message: propose(3) })
  links.postCommits()
  expect(transport.sent.map(({ kind }) => kind)).toEqual(['PROPOSE', 'COMMIT'])
  expect(links.hasCommits).toBe(false)
})

test('a full lane holds what the core sends, in order, up to a bound; beyond it the connection is given up', () => {
  const { transport, links } = reigning()
  const commit = (counter: number): Message => ({ kind: 'COMMIT-LD', epoch: 2, committed: zxidOf(2, counter) })
  transport.full = true
  for (let i = 1; i <= 3; i++) links.post({ to: PEER, connection: 1, message: commit(i) })
  expect(links.offer(PEER, 1, commit(9))).toBe(false)
  transport.full = false
  expect(links.offer(PEER, 1, commit(9))).toBe(false)
  // There is room again, but what is held goes first.
  links.post({ to: PEER, connection: 1, message: commit(4) })
  expect(transport.sent).toEqual([])
  links.drain(PEER, 1)
  links.post({ to: PEER, connection: 1, message: commit(5) })
  links.post({ to: PEER, connection: 8, message: commit(6) })
  expect(transport.sent).toEqual([1, 2, 3, 4, 5].map(commit))
  transport.full = true
  for (let i = 0; i < 100; i++) links.post({ to: PEER, connection: 1, message: commit(i) })
  expect(transport.disconnected).toEqual([1])
  expect(links.isLive(PEER, 1)).toBe(false)
})

test('rule 22: an origin that was not connected for so many ticks is retired by an entry, and takes nothing more', () => {
  const { reign, links, primary, fill, enqueue, transport } = reigning()
  const silent = (): string[] => fill().map(({ machine, text }) => `${machine} ${text}`)
  for (let tick = 0; tick < 10; tick++) reign.tick(primary)
  expect(silent().filter((one) => one.startsWith('0'))).toEqual([])
  links.down(PEER, 1)
  for (let tick = 0; tick < 2; tick++) reign.tick(primary)
  expect(silent().filter((one) => one.startsWith('0'))).toEqual([])
  // It is back in time, and what counts begins anew.
  links.up(PEER, 2, OTHER_STORE)
  reign.tick(primary)
  links.down(PEER, 2)
  for (let tick = 0; tick < 3; tick++) reign.tick(primary)
  expect(silent().filter((one) => one.startsWith('0'))).toEqual(['0 retirement'])
  links.up(PEER, 1, OTHER_STORE)
  enqueue(6, ['late'])
  expect(fill()).toEqual([])
  expect(transport.sent.at(-1)).toEqual({ kind: 'RETIRED', origin: ORIGIN })
})

test('rule 22: an origin that asks nothing more has its confirmation as an entry of its own, once', () => {
  const { fill, enqueue } = reigning()
  enqueue(6, [], 5)
  expect(fill().map(({ machine, text }) => `${machine} ${text}`)).toEqual(['0 confirmation of 5'])
  enqueue(6, [], 5)
  enqueue(6, [], 9)
  expect(fill()).toEqual([])
})
