import { expect, test } from 'vitest'
import { Ensemble, failure, ListMachine, until } from './ensemble.test-support.ts'
import { decodeRefusal, encodeRefusal } from './refusal.ts'

class ThrowsInUnprepare extends ListMachine {
  override unprepare(): void {
    throw new Error('it cannot take anything back')
  }
}

test('a machine that throws in unprepare stops its replica, and nothing of the half batch is proposed', async () => {
  const ensemble = new Ensemble(1, { requestBytesMax: 2000 })
  const replica = await ensemble.start(1, { machines: { list: new ThrowsInUnprepare() } })
  await replica.ready()
  await replica.propose('list', { text: 'before' })
  const { last } = replica.status()
  const rejected = failure(replica.propose('list', { text: 'large', padding: 5000 }))
  await until(() => replica.status().closed)
  expect(replica.status()).toMatchObject({ last, fault: { code: 'DIVERGED', message: expect.stringContaining('it cannot take anything back') } })
  expect(await rejected).toMatchObject({ code: 'CLOSED' })
  await ensemble.closeAll()
})

test('what throws when it is looked at is a refusal too', () => {
  const hostile = {
    get code(): string {
      throw new Error('hands off')
    },
  }
  const bytes = encodeRefusal(hostile)
  expect(decodeRefusal(bytes, 0, bytes.length)).toMatchObject({ code: 'REFUSED', refusal: 'Error' })
})
