import { expect, test } from 'vitest'
import { audit, type RegistryState } from './registry.ts'

const stateOf = (times: readonly (readonly [number, number])[], writes: number): RegistryState => {
  const state: RegistryState = { writes, packages: new Map(), times: new Map() }
  for (const [id, count] of times) state.times.set(Math.floor(id / 256), (state.times.get(Math.floor(id / 256)) ?? new Map()).set(id, count))
  return state
}

test('the audit finds what is lost, what is doubled, and a counter that does not fit', () => {
  expect(
    audit(
      stateOf(
        [
          [1, 1],
          [2, 1],
          [300, 1],
        ],
        3,
      ),
      [
        [1, 2],
        [300, 300],
      ],
    ),
  ).toEqual({ lost: 0, doubled: 0, counterHolds: true })
  expect(
    audit(
      stateOf(
        [
          [1, 1],
          [3, 1],
        ],
        2,
      ),
      [
        [1, 3],
        [256, 257],
      ],
    ),
  ).toEqual({ lost: 3, doubled: 0, counterHolds: true })
  expect(
    audit(
      stateOf(
        [
          [1, 3],
          [2, 2],
        ],
        5,
      ),
      [[1, 2]],
    ),
  ).toEqual({ lost: 0, doubled: 3, counterHolds: true })
  expect(audit(stateOf([[1, 1]], 2), [[1, 1]])).toEqual({ lost: 0, doubled: 0, counterHolds: false })
  // Of unknown outcome, and applied: neither.
  expect(
    audit(
      stateOf(
        [
          [1, 1],
          [2, 1],
        ],
        2,
      ),
      [[1, 1]],
    ),
  ).toEqual({ lost: 0, doubled: 0, counterHolds: true })
})
