import { expect, test } from 'vitest'
import { Ensemble, type Member } from './ensemble.test-support.ts'
import { openSession } from './index.ts'

const MEMBERS: readonly Member[] = [1, 2, 3]

test('an ensemble that restarts in time still has its sessions, which are resumed with what they hold (SessionTimeoutTest)', { timeout: 60_000 }, async () => {
  await using own = await Ensemble.start()
  const before = await openSession(own.get(own.follower), { timeoutMs: 40_000 })
  await before.create('/held', 'x', { mode: 'ephemeral' })
  const { id, password } = before
  await Promise.all(MEMBERS.map((member) => own.kill(member)))
  expect(before.state).toBe('closed')
  await Promise.all(MEMBERS.map((member) => own.start(member)))
  await Promise.all(MEMBERS.map((member) => own.get(member).ready({ timeoutMs: 30_000 })))
  const after = await openSession(own.get(own.follower), { resume: { id, password } })
  expect(after.id).toBe(id)
  expect(await after.getEphemerals()).toEqual(['/held'])
  expect((await after.exists('/held', { level: 'linearizable' }))?.ephemeralOwner).toBe(id)
  await after.create('/more', '', { mode: 'ephemeral' })
  await after.close()
  for (const member of MEMBERS) {
    await using anybody = await openSession(own.get(member), { local: true })
    expect((await anybody.getChildren('/', { level: 'linearizable' })).children).toEqual(['zookeeper'])
  }
})

test('a member that was away while a session ended has none of its nodes when it is back (EphemeralNodeDeletionTest)', { timeout: 60_000 }, async () => {
  await using own = await Ensemble.start()
  const away = own.follower
  const held = await openSession(own.get(own.leader))
  await held.create('/e', '', { mode: 'ephemeral' })
  await using witness = await openSession(own.get(away), { local: true })
  expect(await witness.exists('/e', { level: 'linearizable' })).not.toBeNull()
  await own.kill(away)
  await held.close()
  const back = await own.start(away)
  await back.ready({ timeoutMs: 30_000 })
  await using returned = await openSession(back, { local: true })
  expect(await returned.exists('/e', { level: 'linearizable' })).toBeNull()
  expect(back.machines.znodes.session(held.id)).toBeNull()
})
