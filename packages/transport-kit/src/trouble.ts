import { type Address, AntiphonError, FRAME_BYTES_MAX, type PeerId } from '@antiphon/ports'
import { PROTOCOL_VERSION } from './handshake.ts'

// What is told to `trouble`. `from` is the remote address of a socket.

export function garbageFrom(from: string, what: string): AntiphonError {
  return new AntiphonError('CORRUPT', `${from} sent what is not Antiphon's: ${what}`, {
    remedy: 'The connection was closed. Let only members reach this port.',
  })
}

export function otherVersion(from: string, version: number): AntiphonError {
  const remedy = 'Run versions next to each other that speak to each other: see the notes on upgrades.'
  return new AntiphonError('VERSION_MISMATCH', `${from} speaks version ${version} of the connection's protocol, we speak ${PROTOCOL_VERSION}`, { remedy })
}

export function stranger(from: string, id: number): AntiphonError {
  return new AntiphonError('UNKNOWN_PEER', `${from} says that it is peer ${id}, which is not one of ours`, {
    remedy: 'Add it to the members here, or correct the addresses there.',
  })
}

export function ourOwnId(from: string, id: number): AntiphonError {
  return new AntiphonError('UNKNOWN_PEER', `${from} says that it is peer ${id}, and so are we`, {
    remedy: 'Give each process an id of its own, and each peer an address of its own.',
  })
}

export function lookingForAnother(from: string, id: number, wanted: number, self: number): AntiphonError {
  const remedy = `Correct the address of peer ${wanted} in the settings of peer ${id}.`
  return new AntiphonError('UNKNOWN_PEER', `peer ${id} at ${from} looks for peer ${wanted} here; this is peer ${self}`, { remedy })
}

export function twins(from: string, id: number): AntiphonError {
  const remedy = 'Give each process an id of its own; the connection that was there first stays.'
  return new AntiphonError('UNKNOWN_PEER', `a second process at ${from} says that it is peer ${id}`, { remedy })
}

export function wrongAnswer(address: Address, wanted: PeerId, id: number, ourselves: boolean): AntiphonError {
  const who = ourselves ? 'this very process' : `peer ${id}`
  return new AntiphonError('UNKNOWN_PEER', `at ${address} answers ${who}, not peer ${wanted}`, { remedy: `Correct the address of peer ${wanted}.` })
}

export function notKnownThere(address: Address, wanted: PeerId, self: number): AntiphonError {
  return new AntiphonError('UNKNOWN_PEER', `peer ${wanted} at ${address} does not count us, peer ${self}, among its peers`, {
    remedy: 'List the same members everywhere.',
  })
}

export function unreachable(address: Address, wanted: PeerId, cause: Error): AntiphonError {
  const remedy = 'Correct the address, or the name service; it is tried again.'
  return new AntiphonError('INVALID_SETTINGS', `the address ${address} of peer ${wanted} leads nowhere: ${cause.message}`, { remedy, cause })
}

export function frameTooLong(length: number): AntiphonError {
  return new AntiphonError('TOO_LARGE', `a frame of ${length} bytes is longer than ${FRAME_BYTES_MAX}`, {
    remedy: 'Split it: see the limits of runs and chunks.',
  })
}

export function unauthenticated(from: string, id: number, what: string): AntiphonError {
  return new AntiphonError('UNAUTHENTICATED', `peer ${id} at ${from} ${what}`, {
    remedy: 'Give all members the same secret, or certificates of the same authority that name their ids; let only members reach this port.',
  })
}
