/** The process that takes frames in, and counts them. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import type { PeerId } from '@antiphon/ports'
import type { TlsOptions } from '@antiphon/transport-tcp'
import { serve } from '../children.ts'
import { LENGTH_BYTES } from './bare.ts'
import { type Kind, type Listening, makeTransport, RECEIVER, SENDER } from './kinds.ts'

let frames = 0
let transport: Listening | null = null
let server: Server | null = null

/** Whoever takes a frame looks at it. */
function onFrame(frame: Uint8Array): void {
  if (frame[0] === 7) frames++
}

/** Cuts what comes into frames by the length before each, without a copy where a chunk holds it whole. */
function bareReader(): (chunk: Buffer) => void {
  let rest: Buffer | null = null
  return (chunk) => {
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (at + LENGTH_BYTES <= bytes.length) {
      const end = at + LENGTH_BYTES + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      onFrame(bytes.subarray(at + LENGTH_BYTES, end))
      at = end
    }
    rest = at === bytes.length ? null : bytes.subarray(at)
  }
}

serve(
  {
    async listenBare(): Promise<number> {
      server = createServer({ noDelay: true }, (socket) => {
        socket.on('data', bareReader())
        socket.on('error', () => socket.destroy())
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
    async listen({ kind, sender, tls }: { kind: Kind; sender: string; tls: TlsOptions }): Promise<string> {
      transport = makeTransport(kind, tls)
      await transport.start(RECEIVER, new Uint8Array(0), {
        up: () => true,
        frame: (_peer: PeerId, _connection: number, _lane: string, bytes: Uint8Array) => onFrame(bytes),
        drain: () => {},
        down: () => {},
        trouble: () => {},
      })
      transport.setPeers(new Map([[SENDER, sender]]))
      return transport.address()!
    },
    received: async (): Promise<number> => frames,
  },
  async () => {
    server?.close()
    await transport?.close()
  },
)
