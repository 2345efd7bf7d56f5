import type { AntiphonError } from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { create, type Holder, multi, remove, Stage, setData } from './machine.test-support.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'

/** client-protocol.md section 10; ZooKeeper's ZooKeeperQuotaTest and EnforceQuotaTest. */

interface Limited {
  readonly stage: Stage
  readonly holder: Holder
  readonly warnings: AntiphonError[]
}

/** `/q` with two nodes and three bytes, under `limits`. */
function limited(limits: string, options: ZnodeTreeOptions = { enforceQuota: true }): Limited {
  const stage = new Stage(options)
  const warnings: AntiphonError[] = []
  const proposer = {
    propose: () => Promise.reject(new Error('nobody is to be asked')),
    read: () => Promise.resolve(),
    trouble: (error: AntiphonError) => void warnings.push(error),
  }
  stage.leader.attach!(proposer)
  const holder = stage.open()
  holder.writeAll([
    create('/q', { data: '12' }),
    create('/q/a', { data: '3' }),
    create('/zookeeper/quota/q'),
    create('/zookeeper/quota/q/zookeeper_limits', { data: limits }),
    create('/zookeeper/quota/q/zookeeper_stats', { data: 'count=0,bytes=0' }),
  ])
  return { stage, holder, warnings }
}

function usage({ stage }: Limited): string {
  return new TextDecoder().decode(stage.leader.reader.data('/zookeeper/quota/q/zookeeper_stats')!)
}

describe('hard limits', () => {
  test('of nodes: no more than they say, at any depth, until one is gone', () => {
    const tree = limited('count=-1,bytes=-1=;countHardLimit=3')
    const { holder } = tree
    expect(holder.code(create('/q/a/b'))).toBe('OK')
    expect(holder.code(create('/q/c'))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(create('/elsewhere'))).toBe('OK')
    expect(holder.code(setData('/q/a/b', 'any length'))).toBe('OK')
    expect(holder.code(remove('/q/a/b'))).toBe('OK')
    expect(holder.code(create('/q/c'))).toBe('OK')
    expect(usage(tree)).toBe('count=3,bytes=3')
  })

  test('of bytes: of a create and of a setData, by the difference; null and empty are none', () => {
    const tree = limited('count=-1,bytes=-1=;byteHardLimit=5')
    const { holder } = tree
    expect(holder.code(create('/q/b', { data: 'xyz' }))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(create('/q/b', { data: null }))).toBe('OK')
    expect(holder.code(setData('/q', '1234'))).toBe('OK')
    expect(holder.code(setData('/q/a', 'xx'))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(setData('/q', '123'))).toBe('OK')
    expect(holder.code(setData('/q/a', 'xx'))).toBe('OK')
    expect(usage(tree)).toBe('count=3,bytes=5')
  })

  test('below what is there already refuse more, and let it become less', () => {
    const { holder } = limited('count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=1')
    expect(holder.code(create('/q/b'))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(setData('/q', '123'))).toBe('QUOTA_EXCEEDED')
    // Less, and still more than the limit: as ZooKeeper's `checkQuota` has it.
    expect(holder.code(setData('/q', '1'))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(remove('/q/a'))).toBe('OK')
    expect(holder.code(setData('/q', ''))).toBe('OK')
    expect(holder.code(setData('/q', 'x'))).toBe('OK')
  })

  test('count in a multi what it has made itself, and what is under way; a multi that fails has made nothing', () => {
    const { stage, holder } = limited('count=-1,bytes=-1=;countHardLimit=4')
    expect(holder.code(multi(create('/q/b'), create('/q/c'), create('/q/d')))).toBe('OK OK QUOTA_EXCEEDED')
    expect(holder.code(multi(create('/q/b'), remove('/q/b'), create('/q/c'), create('/q/d')))).toBe('create delete create create')
    holder.writeAll([remove('/q/c'), remove('/q/d')])
    for (const name of ['e', 'f', 'g']) holder.prepare(create(`/q/${name}`))
    expect(stage.flush().map(({ type }) => type)).toEqual(['create', 'create', 'error'])
  })

  test('of bytes count what is under way by the difference that it makes, and what a delete under way frees', () => {
    const { stage, holder } = limited('count=-1,bytes=-1=;byteHardLimit=10')
    const operations = [
      setData('/q/a', '1234567'),
      setData('/q/a', '7654321'),
      create('/q/b', { data: 'x' }),
      create('/q/c', { data: 'x' }),
      remove('/q/a'),
      create('/q/d', { data: '1234567' }),
      create('/q/e', { data: 'x' }),
    ]
    for (const operation of operations) holder.prepare(operation)
    expect(stage.flush().map(({ type }) => type)).toEqual(['setData', 'setData', 'create', 'error', 'delete', 'create', 'error'])
    expect(holder.code(create('/q/f', { data: 'x' }))).toBe('QUOTA_EXCEEDED')
  })

  test('of 0 are limits, of -1 none', () => {
    const { holder } = limited('count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=-1')
    expect(holder.code(create('/q/b', { data: 'x' }))).toBe('QUOTA_EXCEEDED')
    expect(holder.code(create('/q/b'))).toBe('OK')
    const none = limited('count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=0').holder
    expect(none.code(create('/q/b'))).toBe('QUOTA_EXCEEDED')
    expect(none.code(setData('/q', 'any length'))).toBe('OK')
  })

  test('end with the node that holds them, and count as well what a closing session frees', () => {
    const { stage, holder } = limited('count=-1,bytes=-1=;countHardLimit=3')
    const other = stage.open()
    expect(other.code(create('/q/e', { mode: 'ephemeral' }))).toBe('OK')
    expect(holder.code(create('/q/b'))).toBe('QUOTA_EXCEEDED')
    other.close()
    expect(holder.code(create('/q/b'))).toBe('OK')
    expect(holder.code(remove('/zookeeper/quota/q/zookeeper_limits'))).toBe('OK')
    expect(holder.code(create('/q/c'))).toBe('OK')
    stage.alike()
  })

  test('refuse nothing where quotas are not enforced (EnforceQuotaTest)', () => {
    const tree = limited('count=-1,bytes=-1=;byteHardLimit=3;countHardLimit=2', {})
    const { holder, warnings } = tree
    expect(holder.code(create('/q/b', { data: 'x' }))).toBe('OK')
    expect(usage(tree)).toBe('count=3,bytes=4')
    expect(warnings.map(({ message }) => message)).toEqual([
      'the quota of /q is exceeded: 3 nodes, and 2 is its limit; nothing was refused',
      'the quota of /q is exceeded: 4 bytes, and 3 is its limit; nothing was refused',
    ])
  })
})

test('what a stats node says changes without an event, and without its Stat (client-protocol.md section 8, last row of the table)', () => {
  const { stage, holder } = limited('count=-1,bytes=-1')
  const heard: string[] = []
  const watcher = { notify: ({ type, path }: { type: string; path: string }) => void heard.push(`${type} ${path}`), mayRead: () => true }
  const path = '/zookeeper/quota/q/zookeeper_stats'
  for (const kind of ['data', 'children', 'persistent'] as const) stage.leader.watches.add(watcher, path, kind)
  stage.leader.watches.add(watcher, '/zookeeper', 'recursive')
  const { stat } = stage.leader.reader.get(path)
  holder.writeAll([create('/q/b', { data: 'x' })])
  expect(stage.leader.reader.get(path)).toMatchObject({
    stat: { mzxid: stat.mzxid, mtime: stat.mtime, version: 0 },
    data: new TextEncoder().encode('count=3,bytes=4'),
  })
  expect(heard).toEqual([])
})

describe('soft limits', () => {
  test('only warn, once, until what is there was within them again', () => {
    const { holder, warnings } = limited('count=3,bytes=-1')
    const take = (): unknown[] => warnings.splice(0).map(({ code, refusal, outcome, details }) => [code, refusal, outcome, details])
    const told = (used: number): unknown[] => [['REFUSED', 'QUOTA_EXCEEDED', 'applied', { path: '/q', what: 'nodes', used, limit: 3 }]]
    expect(holder.code(create('/q/b'))).toBe('OK')
    expect(take()).toEqual([])
    expect(holder.code(create('/q/c'))).toBe('OK')
    expect(take()).toEqual(told(4))
    expect(holder.code(create('/q/d'))).toBe('OK')
    expect(take()).toEqual([])
    holder.writeAll([remove('/q/b'), remove('/q/c'), remove('/q/d'), create('/q/b')])
    expect(take()).toEqual([])
    holder.writeAll([create('/q/c')])
    expect(take()).toEqual(told(4))
  })

  test('are told beside hard ones, of which the lower one counts; a write that fails, or a multi, tells of nothing', () => {
    const { holder, warnings } = limited('count=2,bytes=4=;countHardLimit=3')
    expect(holder.code(multi(create('/q/b'), remove('/none/x')))).toBe('OK NO_NODE')
    expect(holder.code(setData('/q', '12345', 7))).toBe('BAD_VERSION')
    expect(warnings).toEqual([])
    expect(holder.code(multi(create('/q/b'), setData('/q/b', 'xyz')))).toBe('create setData')
    expect(warnings.map(({ details }) => details)).toEqual([
      { path: '/q', what: 'nodes', used: 3, limit: 2 },
      { path: '/q', what: 'bytes', used: 6, limit: 4 },
    ])
    expect(holder.code(create('/q/c'))).toBe('QUOTA_EXCEEDED')
    expect(warnings).toHaveLength(2)
  })
})
