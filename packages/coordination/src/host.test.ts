import { expect, test } from 'vitest'
import { FakeReplica } from './fake-replica.test-support.ts'
import { openSession } from './index.ts'

test('what a replica holds that is quarantined is not read until it is rebuilt', async () => {
  const replica = new FakeReplica()
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
