import { type EnsembleView, peerId } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { configText } from './config-text.ts'
import { Stage } from './machine.test-support.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'

type Member = EnsembleView['members'][number]

function member(id: number, address: string, more: Partial<Member> = {}): Member {
  return { id: peerId(id), role: 'voter', weight: 1, group: 0, address, ...more }
}

const THREE = [member(1, 'a.example:2888'), member(2, '[::1]:2888'), member(7, 'wss://c.example:443/peers', { role: 'observer', weight: 0 })]
const TEXT = 'server.1=a.example:2888:2888:participant\nserver.2=[::1]:2888:2888:participant\nserver.7=c.example:443:443:observer\nversion=0'

test('members stand in the format of a dynamic configuration, without a newline at its end (client-protocol.md 10)', () => {
  expect(configText({ version: 0 as never, members: THREE })).toBe(TEXT)
  expect(configText({ version: 0x1_0000_000a as never, members: [member(1, 'here')] })).toBe('server.1=here:participant\nversion=10000000a')
})

test('groups and weights are told where they matter', () => {
  const heavy = [member(1, 'a:1', { weight: 2 }), member(2, 'b:1'), member(3, 'c:1', { role: 'observer', weight: 0 })]
  expect(
    configText({ version: 0 as never, members: heavy })
      .split('\n')
      .slice(3),
  ).toEqual(['group.0=1:2', 'weight.1=2', 'weight.2=1', 'version=0'])
  const grouped = [member(1, 'a:1', { group: 1 }), member(2, 'b:1', { group: 2 }), member(3, 'c:1', { group: 1 })]
  const told = ['group.1=1:3', 'group.2=2', 'weight.1=1', 'weight.2=1', 'weight.3=1', 'version=0']
  expect(
    configText({ version: 0 as never, members: grouped })
      .split('\n')
      .slice(3),
  ).toEqual(told)
})

function stage(options: ZnodeTreeOptions, members: readonly Member[]): Stage {
  const stage = new Stage(options)
  stage.leader.attach!({ propose: () => Promise.reject(), read: () => Promise.reject(), ensemble: () => ({ version: 0 as never, members }) })
  return stage
}

const readText = ({ follower }: Stage): string => new TextDecoder().decode(follower.reader.data('/zookeeper/config')!)

test('the leader sees to it that /zookeeper/config holds its members, once', () => {
  const three = stage({}, THREE)
  const told: string[] = []
  three.follower.watches.add({ notify: ({ type, path }) => void told.push(`${type} ${path}`), mayRead: () => true }, '/zookeeper/config', 'data')
  expect(three.ask4tick(100)).toHaveLength(1)
  // Asked for, and not applied yet.
  expect(three.ask4tick(100)).toEqual([])
  three.leader.abandon!()
  three.leader.leading!(three.context)
  expect(three.tick(100)).toHaveLength(1)
  expect(readText(three)).toBe(TEXT)
  expect(three.follower.reader.get('/zookeeper/config').stat).toMatchObject({ version: -1, aversion: -1 })
  expect(told).toEqual(['dataChanged /zookeeper/config'])
  expect(three.tick(100)).toEqual([])
})

test('the option `config` stands above what is known of members; the empty one leaves the node empty', () => {
  const own = stage({ config: 'version=7' }, THREE)
  own.tick(100)
  expect(readText(own)).toBe('version=7')
  const none = stage({ config: '' }, THREE)
  expect(none.tick(100)).toEqual([])
  expect(none.follower.reader.get('/zookeeper/config').stat.dataLength).toBe(0)
})
