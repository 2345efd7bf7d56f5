import { type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import { TypedEmitter } from 'tiny-typed-emitter'

/** A replica as far as sessions look at it. */
export class FakeReplica extends TypedEmitter {
  readonly id = 1
  readonly machines: { readonly znodes: ZnodeTree } = { znodes: znodeTree() }

  status(): object {
    return { active: true, leader: 1, quarantined: null, fault: null }
  }

  read(): Promise<void> {
    return Promise.resolve()
  }
}
