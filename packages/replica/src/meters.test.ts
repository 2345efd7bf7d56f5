import type { AntiphonError, Metrics } from '@antiphon/ports'
import { expect, onTestFinished, test } from 'vitest'
import { Ensemble, failure, itemsOf, until } from './ensemble.test-support.ts'

function started(size: number, settings: ConstructorParameters<typeof Ensemble>[1]): Ensemble {
  const ensemble = new Ensemble(size, settings)
  onTestFinished(() => ensemble.closeAll())
  return ensemble
}

function throwing(isBroken: () => boolean): { readonly metrics: Metrics; readonly touched: Set<string> } {
  const touched = new Set<string>()
  const touch = (name: string): void => {
    touched.add(name)
    if (isBroken()) throw new Error('the registry is full')
  }
  return {
    touched,
    metrics: {
      counter: (name) => ({ add: () => touch(name) }),
      gauge: (name) => ({ set: () => touch(name) }),
      histogram: (name) => ({ observe: () => touch(name) }),
    },
  }
}

test('metrics and a logger that throw stop nothing, and are told of once a figure', async () => {
  const { metrics, touched } = throwing(() => true)
  const log = (): void => {
    throw new Error('no space for lines')
  }
  const ensemble = started(3, { metrics, logger: { debug: log, info: log, warn: log, error: log } })
  const troubles: AntiphonError[] = []
  for (const id of [1, 2, 3]) {
    const replica = await ensemble.start(id)
    replica.on('trouble', (error) => troubles.push(error))
  }
  const [first] = ensemble.replicas.values()
  await first!.ready()
  for (let i = 0; i < 20; i++) await first!.propose('list', { text: `${i}` })
  await until(() => [...ensemble.replicas.values()].every((replica) => itemsOf(replica).length === 20))
  await until(() => touched.has('antiphon_queue_bytes'))
  for (const name of ['antiphon_entries_proposed_total', 'antiphon_batch_entries', 'antiphon_write_milliseconds', 'antiphon_active'])
    expect(touched).toContain(name)
  for (const replica of ensemble.replicas.values()) expect(replica.status()).toMatchObject({ closed: false, fault: null })
  const told = troubles.filter(({ message }) => message.includes('the registry is full'))
  expect(told.filter(({ message }) => message.includes('antiphon_entries_applied_total')).length).toBe(3)
  expect(told.length).toBeLessThanOrEqual(3 * touched.size)
  expect(told[0]).toMatchObject({ code: 'INVALID_ARGUMENT', cause: expect.objectContaining({ message: 'the registry is full' }) })
})

test('one that throws for a while loses what comes meanwhile, and nothing else', async () => {
  let broken = true
  const counted: number[] = []
  const { metrics } = throwing(() => false)
  const counter: Metrics['counter'] = (name) => ({
    add(value) {
      if (name !== 'antiphon_entries_applied_total') return
      if (broken) throw new Error('not yet')
      counted.push(value)
    },
  })
  const ensemble = started(1, { metrics: { ...metrics, counter } })
  const [replica] = await ensemble.startAll()
  await replica!.propose('list', { text: 'lost' })
  broken = false
  await replica!.propose('list', { text: 'counted' })
  expect(counted).toEqual([1])
})

test('metrics that give no meters are INVALID_SETTINGS, and the start leaves nothing open', async () => {
  const { metrics } = throwing(() => false)
  const ensemble = started(1, {})
  const twice = (): never => {
    throw new Error('a metric of that name is registered')
  }
  for (const wrong of [
    { ...metrics, gauge: twice },
    { ...metrics, histogram: () => ({ record: () => {} }) as never },
    { ...metrics, counter: () => undefined as never },
  ]) {
    expect(await failure(ensemble.start(1, { metrics: wrong }))).toMatchObject({ code: 'INVALID_SETTINGS', message: expect.stringContaining('antiphon_') })
  }
  await (await ensemble.start(1, { metrics })).ready()
})
