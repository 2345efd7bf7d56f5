import type { AntiphonError, Lane, PeerId } from '@antiphon/consensus-core'

/** What a transport dials; its meaning is the adapter's own (`host:port` for TCP). Empty: that peer is not dialled, it dials. */
export type Address = string

/**
 * Carries frames between peers.
 *
 * Obligations:
 * - FIFO per connection and lane, no duplicates; between lanes no order is owed. `control` is never held up by `entries` or `bulk`, nor `entries` by `bulk`, beyond one window.
 * - At most one live connection per peer is reported; `down()` precedes the next `up()` after any loss. A connection that is down delivers nothing more.
 * - A frame arrives whole and unchanged or not at all; frames up to `FRAME_BYTES_MAX` are carried, longer ones from a stranger close the connection before anything is allocated.
 * - It dials, and dials again with jittered back-off, for ever, until `close()` or the peer is no longer in `setPeers`. A peer that is stuck holds nobody else up.
 * - Nothing throws into the caller; trouble is told by `down()` or `trouble()`.
 */
export interface Transport {
  /** Listens, then resolves. `greeting` is the shell's (version, id, store id); the adapter carries it both ways before `up()`, and authenticates it where it can. @throws AntiphonError */
  start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void>
  /** The peers to hold connections with; others are dropped. */
  setPeers(peers: ReadonlyMap<PeerId, Address>): void
  /**
   * Sends one frame, given in pieces that the adapter neither changes nor keeps after they are written; the caller never changes them either.
   * Must not throw, must not block: it is called inside the step that decided it.
   * `false`: nothing was taken, because the lane's queue is full or the peer is away; `drain()` or `down()` follows.
   */
  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean
  /** Closes this connection if it is still the live one; `down()` follows. The adapter dials again. */
  disconnect(peer: PeerId, connection: number): void
  /** Ends every socket, timer and promise. Idempotent. */
  close(): Promise<void>
}

/** The shell's side. None of these throws; all are called from the event loop, never from inside `send`. */
export interface TransportHandler {
  /** A connection is there. `connection` is this process's own number for it, never used again. `false` refuses it: the adapter closes it without `down()`. */
  up(peer: PeerId, connection: number, greeting: Uint8Array): boolean
  /** The shell owns `bytes` from here on: the adapter never writes into that memory again. */
  frame(peer: PeerId, connection: number, lane: Lane, bytes: Uint8Array): void
  /** A lane that had refused takes frames again. */
  drain(peer: PeerId, connection: number): void
  down(peer: PeerId, connection: number, reason: string): void
  /** What nobody asked for but should know: a stranger's garbage, a wrong identity, a refused address. */
  trouble(error: AntiphonError, peer: PeerId | null): void
}

/** Longest frame: a run or chunk within its own limits, plus heads. */
export const FRAME_BYTES_MAX: number = 64 * 1024 * 1024
export const GREETING_BYTES_MAX = 1024
