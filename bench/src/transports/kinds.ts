import { type PeerId, peerId, type Transport } from '@antiphon/ports'
import { type TlsOptions, tcpTransport } from '@antiphon/transport-tcp'
import { webSocketTransport } from '@antiphon/transport-websocket'

export type Kind = 'tcp' | 'tls' | 'websocket'
export const KINDS: readonly Kind[] = ['tcp', 'tls', 'websocket']

export const SENDER: PeerId = peerId(1)
export const RECEIVER: PeerId = peerId(2)

export type Listening = Transport & { address(): string | null }

/** `tls`: for the kind of that name. */
export function makeTransport(kind: Kind, tls: TlsOptions): Listening {
  const listen = '127.0.0.1:0'
  if (kind === 'websocket') return webSocketTransport({ listen })
  return kind === 'tcp' ? tcpTransport({ listen }) : tcpTransport({ listen, tls })
}
