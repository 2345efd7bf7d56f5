import { zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { MULTI_FAILED } from './changes.ts'
import { batchOf, check, create, multi, START_TIME, Stage } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'

function apply(change: Uint8Array): unknown {
  return znodeTree().apply(batchOf([{ change, zxid: zxidOf(1, 1), time: START_TIME }]))
}

test('the change of a failed multi has a byte for each part that it claims', () => {
  const holder = new Stage().open()
  expect(holder.code(multi(create('/a'), create('/b'), check('/none'), create('/c')))).toBe('OK OK NO_NODE RUNTIME_INCONSISTENCY')
  expect([...holder.prepare(multi(create('/a'), check('/none'), create('/c')))]).toEqual([MULTI_FAILED, 0xff, 0x9b, 3, 0, 1, 2])
  expect(apply(Uint8Array.of(MULTI_FAILED, 0xff, 0x9b, 3, 0, 1, 2))).toMatchObject([{ type: 'multi', results: { length: 3 } }])
  const claimed = [0xff, 0xff, 0xff, 0xff, 0x0f]
  for (const parts of [claimed, [...claimed, 0, 1, 2], [4, 0, 1, 2], [2, 0, 1, 2], [2, 0, 0], [0], [2, 1, 1], [2, 2, 1], [3, 1, 2, 0], [2, 0, 3]])
    expect(() => apply(Uint8Array.of(MULTI_FAILED, 0xff, 0x9b, ...parts))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
})
