import type { AddressInfo, Server } from 'node:net'
import type { Address, AntiphonError } from '@antiphon/ports'
import { invalidSettings } from '../settings.ts'
import { formatAddress, type HostPort } from './address.ts'

/** @throws AntiphonError INVALID_SETTINGS */
export async function listen(server: Server, at: HostPort): Promise<void> {
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    server.once('error', resolve)
    // Exclusive: in a worker of `node:cluster` too, the port is this replica's alone.
    server.listen({ host: at.host, port: at.port, exclusive: true }, () => {
      server.off('error', resolve)
      resolve(null)
    })
  })
  if (error !== null) throw cannotListen(at, error)
}

/** Resolves when it listens no more and its connections are gone. */
export async function closeServer(server: Server): Promise<void> {
  if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
}

/** With the real port; null when it does not listen. */
export function listeningAt(server: Server): Address | null {
  const address = server.listening ? (server.address() as AddressInfo | null) : null
  return address === null ? null : formatAddress({ host: address.address, port: address.port })
}

export function cannotListen(at: HostPort, cause: NodeJS.ErrnoException): AntiphonError {
  const address = formatAddress(at)
  if (cause.code === 'EADDRINUSE')
    return invalidSettings(`the address ${address} is in use`, 'End the process that listens there, or choose another port.', cause)
  if (cause.code === 'EACCES') return invalidSettings(`the address ${address} needs privileges`, 'Choose a port above 1023.', cause)
  return invalidSettings(`cannot listen at ${address}: ${cause.message}`, 'Choose an address of this machine, such as `0.0.0.0:7000`.', cause)
}
