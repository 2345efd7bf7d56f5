import { znodeTree } from '@antiphon/znode-tree'
import { TypedEmitter } from 'tiny-typed-emitter'
import { expect, test } from 'vitest'
import { openSession } from './index.ts'

/** A replica as far as sessions look at it. */
class Host extends TypedEmitter {
  readonly id = 1
  readonly machines = { znodes: znodeTree() }
  status(): object {
    return { active: true, leader: 1, quarantined: null, fault: null }
  }
  read(): Promise<void> {
    return Promise.resolve()
  }
}

test('what a replica holds that is quarantined is not read until it is rebuilt', async () => {
  const replica = new Host()
  const session = await openSession(replica as never, { local: true })
  expect(session.local.exists('/zookeeper')).not.toBeNull()
  replica.emit('quarantined' as never)
  expect(() => session.local.exists('/zookeeper')).toThrow(expect.objectContaining({ code: 'NOT_READY' }))
  expect(session.state).toBe('suspended')
  replica.emit('rebuilt' as never)
  expect(session.local.exists('/zookeeper')).not.toBeNull()
  await session.close()
  expect(replica.eventNames()).toEqual([])
})
