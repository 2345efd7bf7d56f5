import { describe, expect, test } from 'vitest'
import {
  type CounterInput,
  type CounterOutput,
  checkLinearizable,
  counterModel,
  isWitness,
  type ListInput,
  type ListOutput,
  listModel,
  type Model,
  type Operation,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
} from './linearizability.ts'
import { SeededRandom } from './random.ts'

type Line<I, O> = readonly [client: number, invoked: number, returned: number, input: I, output: O | null]

function history<I, O>(...lines: Line<I, O>[]): Operation<I, O>[] {
  return lines.map(([client, invoked, returned, input, output]) => ({ client, invoked, returned, input, output }))
}
const never = Number.POSITIVE_INFINITY
const write = (value: string): RegisterInput => ({ kind: 'write', value })
const read: { kind: 'read' } = { kind: 'read' }
const swap = (expected: string | null, value: string): RegisterInput => ({ kind: 'swap', expected, value })
const saw = (value: string | null): RegisterOutput => ({ value })
const done = (itDid: boolean): RegisterOutput => ({ done: itDid })
const append = (item: string): ListInput => ({ kind: 'append', item })
const add = (by: number): CounterInput => ({ kind: 'add', by })

const registers: [string, 'linearizable' | 'violation', Operation<RegisterInput, RegisterOutput>[]][] = [
  ['an empty history is linearizable', 'linearizable', []],
  ['a read after a write sees it', 'linearizable', history([1, 0, 1, write('a'), done(true)], [2, 2, 3, read, saw('a')])],
  ['a read after a write that shows the value before is a violation', 'violation', history([1, 0, 1, write('a'), done(true)], [2, 2, 3, read, saw(null)])],
  ['a read concurrent with a write may see either: the old', 'linearizable', history([1, 0, 10, write('a'), done(true)], [2, 2, 3, read, saw(null)])],
  ['a read concurrent with a write may see either: the new', 'linearizable', history([1, 0, 10, write('a'), done(true)], [2, 2, 3, read, saw('a')])],
  [
    'two reads concurrent with a write may not see new, then old',
    'violation',
    history([1, 0, 10, write('a'), done(true)], [2, 2, 3, read, saw('a')], [3, 4, 5, read, saw(null)]),
  ],
  [
    'what returned and was called in the same instant counts as concurrent',
    'linearizable',
    history([1, 0, 5, write('a'), done(true)], [2, 5, 6, read, saw(null)]),
  ],
  ['a write of unknown outcome may have happened', 'linearizable', history([1, 0, never, write('a'), null], [2, 50, 51, read, saw('a')])],
  ['a write of unknown outcome may not have happened', 'linearizable', history([1, 0, never, write('a'), null], [2, 50, 51, read, saw(null)])],
  [
    'a write of unknown outcome may happen late',
    'linearizable',
    history([1, 0, never, write('a'), null], [2, 50, 51, read, saw(null)], [2, 60, 61, read, saw('a')]),
  ],
  [
    'a write of unknown outcome does not happen twice',
    'violation',
    history(
      [1, 0, never, write('a'), null],
      [3, 1, 2, write('b'), done(true)],
      [2, 50, 51, read, saw('a')],
      [3, 60, 61, write('c'), done(true)],
      [2, 70, 71, read, saw('a')],
    ),
  ],
  ['a value that nobody wrote is a violation', 'violation', history([1, 0, 1, write('a'), done(true)], [2, 2, 3, read, saw('z')])],
  ['a swap that fits and says it did not is a violation', 'violation', history([1, 0, 1, write('a'), done(true)], [2, 2, 3, swap('a', 'b'), done(false)])],
  ['of two swaps from one value only one may succeed', 'violation', history([1, 0, 9, swap(null, 'a'), done(true)], [2, 0, 9, swap(null, 'b'), done(true)])],
  ['two swaps in a chain both succeed', 'linearizable', history([1, 0, 9, swap('b', 'a'), done(true)], [2, 0, 9, swap(null, 'b'), done(true)])],
  // Two readers that disagree about the order of two concurrent writes.
  [
    'readers may not disagree about the order of writes',
    'violation',
    history([1, 0, 9, write('a'), done(true)], [2, 0, 9, write('b'), done(true)], [3, 10, 11, read, saw('a')], [4, 12, 13, read, saw('b')]),
  ],
]

describe('registers', () => {
  for (const [name, expected, operations] of registers) {
    test(name, () => {
      expect(checkLinearizable(registerModel, operations).kind).toBe(expected)
    })
  }

  test('a verdict names the operations that do not fit', () => {
    const verdict = checkLinearizable(registerModel, history([1, 0, 1, write('a'), done(true)], [2, 2, 3, read, saw(null)], [2, 9, 10, write('c'), done(true)]))
    expect(verdict).toEqual({ kind: 'violation', longest: [0], stuck: [1] })
  })

  test('a search beyond its budget is undecided', () => {
    const many = Array.from({ length: 14 }, (_, i): Line<RegisterInput, RegisterOutput> => [i, 0, 100, write(`v${i}`), done(true)])
    expect(checkLinearizable(registerModel, history(...many, [20, 101, 102, read, saw('z')]), 1000).kind).toBe('undecided')
  })

  test('an operation that returns before it is called is an error of the caller', () => {
    expect(() => checkLinearizable(registerModel, history([1, 5, 4, write('a'), done(true)]))).toThrow(RangeError)
  })
})

describe('counters and lists', () => {
  test('a sum that misses an acknowledged addition is a violation', () => {
    const operations = history<CounterInput, CounterOutput>([1, 0, 1, add(2), { value: 2 }], [1, 2, 3, add(3), { value: 5 }], [2, 4, 5, read, { value: 3 }])
    expect(checkLinearizable(counterModel, operations).kind).toBe('violation')
  })

  test('a sum that holds an unknown addition twice is a violation', () => {
    const lines: Line<CounterInput, CounterOutput>[] = [[1, 0, never, add(2), null]]
    expect(checkLinearizable(counterModel, history(...lines, [2, 4, 5, read, { value: 2 }])).kind).toBe('linearizable')
    expect(checkLinearizable(counterModel, history(...lines, [2, 4, 5, read, { value: 4 }])).kind).toBe('violation')
  })

  test('a list keeps the order of real time', () => {
    const two: Line<ListInput, ListOutput>[] = [
      [1, 0, 1, append('a'), { length: 1 }],
      [2, 2, 3, append('b'), { length: 2 }],
    ]
    expect(checkLinearizable(listModel, history(...two, [3, 4, 5, read, { items: ['a', 'b'] }])).kind).toBe('linearizable')
    expect(checkLinearizable(listModel, history(...two, [3, 4, 5, read, { items: ['b', 'a'] }])).kind).toBe('violation')
    expect(checkLinearizable(listModel, history(...two, [3, 4, 5, read, { items: ['a'] }])).kind).toBe('violation')
  })

  test('an append that tells a wrong length is a violation', () => {
    expect(
      checkLinearizable(listModel, history<ListInput, ListOutput>([1, 0, 1, append('a'), { length: 1 }], [1, 2, 3, append('b'), { length: 3 }])).kind,
    ).toBe('violation')
  })
})

describe('a guessed order', () => {
  const operations = history<RegisterInput, RegisterOutput>(
    [1, 0, 10, write('a'), done(true)],
    [2, 2, 6, write('b'), done(true)],
    [3, 3, 20, read, saw('a')],
    [4, 5, 6, swap('c', 'd'), done(false)],
  )

  test('is a proof if it fits, and operations that change nothing are put where they fit', () => {
    expect(isWitness(registerModel, operations, [2, 1, 3, null])).toBe(true)
    expect(isWitness(registerModel, operations, [2, 1, 3, 0])).toBe(true)
  })

  test('proves nothing if it does not fit: the answers, or the times', () => {
    expect(isWitness(registerModel, operations, [1, 2, 3, null])).toBe(false)
    const late = history<RegisterInput, RegisterOutput>([1, 0, 1, write('a'), done(true)], [2, 2, 3, write('b'), done(true)])
    expect(isWitness(registerModel, late, [1, 2])).toBe(true)
    expect(isWitness(registerModel, late, [2, 1])).toBe(false)
    const before = history<RegisterInput, RegisterOutput>([1, 0, 1, swap('b', 'c'), done(false)], [2, 2, 3, write('b'), done(true)])
    expect(isWitness(registerModel, before, [null, 1])).toBe(true)
    const behind = history<RegisterInput, RegisterOutput>([1, 4, 5, swap('b', 'c'), done(false)], [2, 2, 3, write('b'), done(true)])
    expect(isWitness(registerModel, behind, [null, 1])).toBe(false)
  })
})

/** Every order, one after the other: obviously right, and slow. */
function byBruteForce<S extends string | number | object, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[]): boolean {
  const place = (state: S, left: readonly Operation<I, O>[]): boolean => {
    if (left.every((operation) => operation.returned === never)) return true
    return left.some((operation) => {
      if (left.some((other) => other.returned < operation.invoked)) return false
      const after = model.step(state, operation.input, operation.output)
      if (after === null) return false
      return place(
        after,
        left.filter((other) => other !== operation),
      )
    })
  }
  return place(model.initial, operations)
}

test('the search agrees with the brute force of every order, on thousands of random histories', () => {
  const random = new SeededRandom(7)
  let witnesses = 0
  const verdicts = { linearizable: 0, violation: 0, undecided: 0 }
  for (let round = 0; round < 4000; round++) {
    const operations = Array.from({ length: random.between(1, 6) }, (_, client): Operation<RegisterInput, RegisterOutput> => {
      const invoked = random.below(12)
      const returned = random.chance(0.15) ? never : invoked + random.below(8)
      const kind = random.below(3)
      const value = random.pick(['a', 'b'])
      const input = kind === 0 ? read : kind === 1 ? write(value) : swap(random.pick([null, 'a', 'b']), value)
      const output = kind === 0 ? saw(random.pick([null, 'a', 'b'])) : done(kind === 1 || random.chance(0.5))
      return { client, invoked, returned, input, output: returned === never ? null : output }
    })
    const { kind } = checkLinearizable(registerModel, operations)
    const places = operations.map(({ input, output }) =>
      input.kind === 'swap' && output !== null && 'done' in output && !output.done ? null : random.below(6),
    )
    if (isWitness(registerModel, operations, places)) {
      witnesses++
      expect(kind, JSON.stringify(operations)).toBe('linearizable')
    }
    verdicts[kind]++
    expect(kind, JSON.stringify(operations)).toBe(byBruteForce(registerModel, operations) ? 'linearizable' : 'violation')
  }
  expect(verdicts.linearizable).toBeGreaterThan(500)
  expect(verdicts.violation).toBeGreaterThan(500)
  expect(witnesses).toBeGreaterThan(200)
})
