import type { AntiphonError } from '@antiphon/ports'
import type { Reply, Request } from '../index.ts'

/** The way to an engine, in this thread or another. Replies come in order, never from inside `post`. */
export interface Link {
  post(request: Request, transfer: ArrayBuffer[]): void
  end(): Promise<void>
}

export interface LinkHandler {
  reply(reply: Reply): void
  /** The engine is gone; nothing comes any more. */
  lost(error: AntiphonError): void
}

/** Opens the way. @throws AntiphonError */
export type Connect = (handler: LinkHandler) => Promise<Link>
