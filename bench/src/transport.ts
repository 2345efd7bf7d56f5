import { newAuthority } from '@antiphon/cli'
import { Child } from './children.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'
import { BareSender } from './transports/bare.ts'
import { KINDS, type Kind, RECEIVER, SENDER } from './transports/kinds.ts'
import { TransportSender } from './transports/ours.ts'

const SIZES = [100, 1000]
/** Frames that are sent in one turn of the loop. */
const BATCH = 100

interface Sender {
  send(frame: Uint8Array, count: number): boolean
  drained(): Promise<unknown>
  close(): unknown
}

/** Frames a second from one process to another, as many as it takes: our transports beside raw `node:net` with the same batches. */
export async function transport(options: Options): Promise<Result[]> {
  const results: Result[] = []
  for (const size of SIZES) {
    const figures = new Map<Kind | 'bare', number[]>()
    for (let round = 0; round < options.rounds; round++) {
      for (const kind of ['bare', ...KINDS] as const) figures.set(kind, [...(figures.get(kind) ?? []), await measure(kind, size, options)])
    }
    const of = (kind: Kind | 'bare'): number => median(figures.get(kind)!)
    const bare = { value: of('bare'), against: 'raw node:net with a length before each frame and the same batches' }
    results.push(result(`transport.tcp.${size}`, of('tcp'), 'frames/s', 'higher', bare))
    results.push(result(`transport.tls.${size}`, of('tls'), 'frames/s', 'higher', { value: of('tcp'), against: `transport.tcp.${size}` }))
    results.push(result(`transport.websocket.${size}`, of('websocket'), 'frames/s', 'higher', { value: of('tcp'), against: `transport.tcp.${size}` }))
  }
  return results
}

async function measure(kind: Kind | 'bare', size: number, { warmUpMs, measureMs }: Options): Promise<number> {
  const child = new Child(new URL('./transports/receiver.js', import.meta.url))
  try {
    const sender = await connected(kind, child)
    try {
      return await perSecond(sender, child, new Uint8Array(size).fill(7), warmUpMs, measureMs)
    } finally {
      await sender.close()
    }
  } finally {
    await child.end()
  }
}

async function connected(kind: Kind | 'bare', child: Child): Promise<Sender> {
  if (kind === 'bare') return BareSender.connect(await child.call<number>('listenBare', null))
  const authority = await newAuthority()
  const sender = await TransportSender.start(kind, await authority.member(SENDER))
  await sender.connect(await child.call<string>('listen', { kind, sender: sender.address, tls: await authority.member(RECEIVER) }))
  return sender
}

async function perSecond(sender: Sender, child: Child, frame: Uint8Array, warmUpMs: number, measureMs: number): Promise<number> {
  let over = false
  const sending = (async () => {
    while (!over) {
      if (sender.send(frame, BATCH)) await new Promise((resolve) => setImmediate(resolve))
      else await sender.drained()
    }
  })()
  await pause(warmUpMs)
  const before = await child.call<number>('received', null)
  const begun = performance.now()
  await pause(measureMs)
  const received = (await child.call<number>('received', null)) - before
  const seconds = (performance.now() - begun) / 1000
  over = true
  await sending
  return received / seconds
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
