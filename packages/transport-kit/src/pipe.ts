/** Bytes both ways between two processes: a socket, a TLS session, a WebSocket. A connection owns its pipe from the start on. */
export interface Pipe {
  /** The other end, for people. Asked once `opened` was told. */
  readonly remote: string
  /** What was written last has not been taken yet by whatever is below. */
  readonly busy: boolean
  /** Whom the other end may speak for, as far as the pipe itself has proved it (a certificate); null where it proves nothing. */
  readonly proven: ProvenIdentity | null
  /** Begins: the handler hears everything from then on, never from inside a call of this interface. */
  start(handler: PipeHandler): void
  /** Writes `pieces`, in order; `taken` is called once they are below. Pieces are not changed afterwards. Never throws. */
  write(pieces: readonly Uint8Array[], taken: (() => void) | null): void
  /** Ends once what was written has left, without waiting for the other end. */
  end(): void
  /** Ends at once. */
  destroy(): void
}

export interface ProvenIdentity {
  speaksFor(peer: number): boolean
  /** For people: what is proven. */
  readonly description: string
}

export interface PipeHandler {
  /** A dialled pipe is connected; one that came in is from the start. Once, before any data. */
  opened(): void
  /** The handler owns `chunk` from here on. */
  data(chunk: Uint8Array): void
  /** Once, whoever ended it. */
  closed(reason: string, error: Error | null): void
}
