import type { PeerId } from '@antiphon/ports'
import { assert, bytesOf, fail, turn, within } from '../suite.ts'
import { A, B, C, LANES, type Peer, type TransportCases, type Wires } from './setup.ts'

const RECONNECTIONS = 1_000
/** Before the first of them is counted: pools fill, code is compiled. */
const WARM_UP = 100
/** Handles that come and go by themselves. */
const HANDLES_SLACK = 12
/** What is left behind grows in every window; what a runtime keeps on its own does not. */
const WINDOWS = 3
/** In one window: somewhat more than half a kilobyte for each connection. */
const HEAP_SLACK_BYTES = 192 * 1024

const live = (peer: Peer, other: PeerId): number => peer.heard.live.get(other) ?? fail(`peer ${peer.id} has no connection to ${other}`)

function vanish(wires: Wires, peer: Peer): void {
  assert(wires.network.vanish !== undefined, 'the set-up says `vanishes`, but its networks have no `vanish`')
  wires.network.vanish(peer.id)
}

/** One frame each way. A connection that is replaced meanwhile, which down() tells, may take a frame along; one that stays may not. */
async function exchange(a: Peer, b: Peer, mark: number): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const arrived = (): boolean => to.heard.framesFrom(from.id).some(({ bytes }) => bytes[0] === mark && bytes[1] === from.id)
    while (!arrived()) {
      const connection = live(from, to.id)
      assert(from.heard.send(from.transport, to.id, [Uint8Array.of(mark, from.id)], 'control'), `send() from ${from.id} to ${to.id} was refused`)
      const ended = (): boolean => from.heard.live.get(to.id) !== connection
      await settled(
        () => arrived() || ended(),
        () => `frame ${mark} from ${from.id} did not arrive at ${to.id}, and its connection stayed`,
      )
      if (!arrived()) await from.heard.connected(to.id, connection)
    }
    to.heard.assertSound()
  }
}

/** Peers that are gone without a word, and connections that come and go for ever. */
export const endurance: TransportCases = (add) => {
  for (const gone of [A, B]) {
    const stays = gone === A ? B : A
    add(`peer ${gone} vanishes without a word: its next process is connected, and down() comes before up()`, 'vanishes', async (wires) => {
      const peers = await wires.mesh(A, B)
      const [old, peer] = [peers.find(({ id }) => id === gone)!, peers.find(({ id }) => id === stays)!]
      const before = live(peer, gone)
      vanish(wires, old)
      const next = await wires.start(gone)
      wires.introduce(peer, next)
      await peer.heard.connected(gone, before)
      await next.heard.connected(stays)
      assert(
        peer.heard.ends.some(({ connection }) => connection === before),
        'down() of the connection that was half-open was never told',
      )
      await exchange(peer, next, 1)
    })
  }

  add('disconnect() ends a half-open connection without the help of its other end', 'vanishes', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const before = live(a, B)
    vanish(wires, b)
    a.transport.send(B, [bytesOf(50_000, 1)], 'entries')
    a.transport.disconnect(B, before)
    await a.heard.until(() => a.heard.ends.some(({ connection }) => connection === before), 'down() after disconnect()')
    const next = await wires.start(B)
    wires.introduce(a, next)
    await a.heard.connected(B, before)
    await exchange(a, next, 2)
  })

  add('a peer that is gone without a word fills its lanes and disturbs nobody else', 'vanishes', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    vanish(wires, b)
    const bulk = bytesOf(256 * 1024, 3)
    for (const lane of LANES) {
      let taken = 0
      while (taken < 1024 && a.heard.send(a.transport, B, [bulk], lane)) taken++
      assert(taken < 1024, `lane ${lane} to a peer that is gone took ${taken} frames of ${bulk.length} bytes`)
    }
    const c = await wires.start(C)
    wires.introduce(a, c)
    a.transport.setPeers(
      new Map([
        [B, b.address],
        [C, c.address],
      ]),
    )
    await a.heard.connected(C)
    await c.heard.connected(A)
    await exchange(a, c, 3)
    await within(a.transport.close(), 'close() with a peer that is gone')
    a.heard.closed()
  })

  add('a peer that is killed and started again and again is connected each time', 'always', async (wires) => {
    const a = await wires.start(A)
    let before = 0
    for (let round = 1; round <= 10; round++) {
      const b = await wires.start(B)
      wires.introduce(a, b)
      before = await a.heard.connected(B, before)
      await b.heard.connected(A)
      await exchange(a, b, round)
      await within(b.transport.close(), 'close()')
      b.heard.closed()
      await a.heard.until(() => !a.heard.live.has(B), 'down(B)')
    }
  })

  add(
    `${RECONNECTIONS} reconnections leave nothing behind`,
    'always',
    async (wires) => {
      const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
      await reconnect(a, b, WARM_UP)
      const handles = handlesOf()
      const heap = [await wires.heapUsed()]
      const times = (RECONNECTIONS - WARM_UP) / WINDOWS
      for (let window = 0; window < WINDOWS; window++) {
        await reconnect(a, b, times)
        await settled(
          () => handlesOf() <= handles + HANDLES_SLACK,
          () => `${handlesOf() - handles} more handles (sockets, timers) after ${times * (window + 1)} reconnections`,
        )
        heap.push(await wires.heapUsed())
      }
      const grown = heap.slice(1).map((bytes, window) => bytes - heap[window]!)
      assert(
        Math.min(...grown) <= HEAP_SLACK_BYTES,
        `the heap grows by ${grown.map((bytes) => Math.round(bytes / 1024)).join(', ')} KiB in each ${times} reconnections`,
      )
      await exchange(a, b, 7)
    },
    240_000,
  )
}

/** Each side in turn ends the connection; the frames that are under way then may be lost. */
async function reconnect(a: Peer, b: Peer, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const [closer, other] = i % 2 === 0 ? [a, b] : [b, a]
    const before = [live(closer, other.id), live(other, closer.id)] as const
    closer.transport.send(other.id, [bytesOf(100, i)], LANES[i % 3]!)
    closer.transport.disconnect(other.id, before[0])
    await closer.heard.connected(other.id, before[0])
    await other.heard.connected(closer.id, before[1])
    for (const { heard } of [a, b]) heard.forget()
  }
}

/** What keeps this process alive; 0 where nobody can say. */
function handlesOf(): number {
  const { process } = globalThis as { process?: { getActiveResourcesInfo?(): readonly string[] } }
  return process?.getActiveResourcesInfo?.().length ?? 0
}

/** Closing takes a few turns of the loop. */
async function settled(condition: () => boolean, what: () => string): Promise<void> {
  const unending = { ended: false }
  const waiting = (async () => {
    while (!condition() && !unending.ended) await turn()
  })()
  try {
    await within(waiting, 'settling')
  } catch {
    fail(what())
  } finally {
    unending.ended = true
  }
}
