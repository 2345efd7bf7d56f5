import { AntiphonError, type Transport } from '@antiphon/ports'
import { CONNECTION_OPTIONS, ConnectedTransport, type ConnectionOptions, invalidSettings, linkSettings, validateNames } from '@antiphon/transport-kit'
import { BrowserWebSocketPipe, type NativeWebSocket } from './pipe.ts'

interface Host {
  readonly WebSocket?: new (url: string) => NativeWebSocket
}

export type BrowserWebSocketTransportOptions = ConnectionOptions

/**
 * The dialling half, on the host's own WebSocket: for an observer in a browser. Nobody can dial it; members give it an empty address.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function webSocketTransport(options: BrowserWebSocketTransportOptions = {}): Transport {
  validateNames(options, CONNECTION_OPTIONS)
  const settings = linkSettings(options)
  const { WebSocket } = globalThis as unknown as Host
  if (WebSocket === undefined)
    throw invalidSettings('this host has no WebSocket of its own', 'In Node import `@antiphon/transport-websocket` without `/browser`.')
  return new ConnectedTransport(
    settings,
    (address) => {
      try {
        return new BrowserWebSocketPipe(new WebSocket(address), address, settings.clock)
      } catch (error) {
        throw new AntiphonError('INVALID_SETTINGS', `the address "${address}" cannot be dialled: ${(error as Error).message}`, {
          remedy: 'Write it as `wss://host:port/antiphon`.',
          cause: error,
        })
      }
    },
    null,
  )
}
