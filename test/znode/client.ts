import type { Zxid } from '@antiphon/ports'
import { type Identity, READ, type SessionId, type WatchEvent, type Watcher, type ZnodeTree } from '@antiphon/znode-tree'
import type { Seen } from './transcript.ts'

/** Who watches and asks: a session's front. */
export class Client implements Watcher {
  readonly seen: Seen[] = []
  readonly #tree: ZnodeTree
  readonly #noted: (client: Client, event: WatchEvent) => void
  session: SessionId = 0n
  attachment = 0 as Zxid
  identities: readonly Identity[] = []

  readonly notifyAll?: NonNullable<Watcher['notifyAll']>

  /** `takesLists`: of what it has missed it is told at once. */
  constructor(tree: ZnodeTree, takesLists: boolean, noted: (client: Client, event: WatchEvent) => void) {
    this.#tree = tree
    this.#noted = noted
    if (takesLists)
      this.notifyAll = (events) => {
        for (const event of events) this.notify(event)
      }
  }

  /** It has a session that is nobody else's affair. */
  get isLocal(): boolean {
    return this.session !== 0n && this.attachment === 0
  }

  notify(event: WatchEvent): void {
    this.#noted(this, event)
  }

  mayRead(acl: Parameters<Watcher['mayRead']>[0]): boolean {
    return this.#tree.permits(acl, READ, this.identities)
  }
}
