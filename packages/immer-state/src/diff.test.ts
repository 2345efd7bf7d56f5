import fc from 'fast-check'
import { applyPatches, enableMapSet, enablePatches, Immer } from 'immer'
import { describe, expect, test } from 'vitest'
import { show } from '../testing/harness.ts'
import { anyValue, draftableValue, patchableValue } from '../testing/values.ts'
import { diff } from './diff.ts'
import { EditWriter } from './edits.ts'
import { Patcher } from './patcher.ts'
import { patchesBetween } from './patches.ts'
import { ByteReader } from './reader.ts'
import { ByteWriter } from './writer.ts'

enableMapSet()
enablePatches()
const immer = new Immer({ autoFreeze: false })

function script(base: unknown, next: unknown): Uint8Array {
  const writer = new ByteWriter()
  const edits = new EditWriter(writer)
  edits.begin()
  diff(base, next, edits)
  edits.finish()
  return writer.finish()
}

function patched(base: unknown, bytes: Uint8Array): unknown {
  const reader = new ByteReader()
  reader.frozen = true
  reader.open(bytes)
  const patcher = new Patcher(reader)
  const state = patcher.apply(base)
  patcher.seal()
  expect(reader.at).toBe(bytes.length)
  return state
}

/** What can be done to a draft, at a place that the numbers pick. */
type Step = readonly [place: readonly number[], what: number, where: number, value: unknown]
const step: fc.Arbitrary<Step> = fc.tuple(fc.array(fc.nat(20), { maxLength: 4 }), fc.nat(8), fc.nat(20), patchableValue)

function change(root: unknown, [place, what, where, given]: Step): void {
  // Steps are taken more than once: each puts in a value of its own.
  const value: unknown = structuredClone(given)
  let target = root
  for (const index of place) {
    const children: unknown[] = Array.isArray(target)
      ? target
      : target instanceof Map
        ? [...target.values()]
        : target instanceof Set
          ? [...target]
          : Object.values(target as object)
    const containers = children.filter((child) => typeof child === 'object' && child !== null && !(child instanceof Date) && !(child instanceof Uint8Array))
    if (containers.length === 0) break
    target = containers[index % containers.length]
  }
  const at = <T>(list: readonly T[]): T => list[where % list.length]!
  if (Array.isArray(target)) {
    const index = target.length === 0 ? 0 : where % target.length
    if (what === 0) target.push(value)
    else if (what === 1) target.unshift(value)
    else if (what === 2) target.splice(index, 1)
    else if (what === 3) target.splice(index, 2, value, value)
    else if (what === 4) target.reverse()
    else if (what === 5) target.push(target.shift())
    else if (target.length > 0) target[index] = value
  } else if (target instanceof Map) {
    const key = target.size === 0 ? 'new' : at([...target.keys()])
    if (what === 0) target.delete(key)
    else if (what === 1) target.clear()
    else if (what <= 3) {
      const old = target.get(key)
      target.delete(key)
      target.set(key, what === 2 ? old : value)
    } else if (what === 4) target.set(where, value)
    else target.set(key, value)
  } else if (target instanceof Set) {
    if (what <= 1 && target.size > 0) target.delete(at([...target]))
    else if (what === 2 && target.size > 0) {
      const member = at([...target])
      target.delete(member)
      target.add(member)
    } else target.add(value)
  } else {
    const object = target as Record<string, unknown>
    const keys = Object.keys(object)
    const key = keys.length === 0 ? 'new' : at(keys)
    if (what === 0) delete object[key]
    else if (what <= 2) {
      const old = object[key]
      delete object[key]
      object[key] = what === 1 ? old : value
    } else if (what === 3) object[String(where)] = value
    else if (what === 4) object[`k${where}`] = value
    else object[key] = value
  }
}

const isContainer = (value: unknown): boolean => typeof value === 'object' && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array)
const container = draftableValue.filter(isContainer)

describe('the difference of two states', () => {
  test('applied to the first it gives the second, order of keys included', () => {
    fc.assert(
      fc.property(container, fc.array(step, { maxLength: 6 }), (base, steps) => {
        const next = immer.produce(base, (draft) => {
          for (const one of steps) change(draft, one)
        })
        expect(show(patched(base, script(base, next)))).toBe(show(next))
      }),
      { numRuns: 1500, seed: 11 },
    )
  })

  test('holds between any two values', () => {
    fc.assert(
      fc.property(anyValue, anyValue, (base, next) => {
        expect(show(patched(base, script(base, next)))).toBe(show(next))
      }),
      { numRuns: 500, seed: 11 },
    )
  })

  test('a script leaves the state that it is applied to as it was', () => {
    fc.assert(
      fc.property(container, fc.array(step, { maxLength: 4 }), (base, steps) => {
        const next = immer.produce(base, (draft) => {
          for (const one of steps) change(draft, one)
        })
        const before = show(base)
        patched(base, script(base, next))
        expect(show(base)).toBe(before)
      }),
      { numRuns: 200, seed: 11 },
    )
  })

  test('a change deep inside takes a few bytes, whatever stands beside it', () => {
    const base = { users: new Map(Array.from({ length: 1000 }, (_, i) => [i, { name: `user ${i}`, visits: i, tags: ['a', 'b'] }])), other: 'x'.repeat(10_000) }
    const next = immer.produce(base, (draft) => {
      draft.users.get(500)!.visits++
    })
    expect(script(base, next).length).toBeLessThan(40)
  })

  test('taking from the front of a list and pushing to its end takes a few bytes', () => {
    const base = { queue: Array.from({ length: 1000 }, (_, id) => ({ id, body: 'x'.repeat(100) })) }
    const next = immer.produce(base, (draft) => {
      draft.queue.shift()
      draft.queue.push({ id: 1000, body: 'y' })
    })
    expect(script(base, next).length).toBeLessThan(60)
  })

  test('a key of a Map that is used again moves to the end everywhere', () => {
    const base = {
      recent: new Map([
        ['a', { n: 1 }],
        ['b', { n: 2 }],
        ['c', { n: 3 }],
      ]),
    }
    const next = immer.produce(base, (draft) => {
      const entry = draft.recent.get('a')!
      draft.recent.delete('a')
      draft.recent.set('a', entry)
    })
    const bytes = script(base, next)
    expect(bytes.length).toBeLessThan(20)
    expect([...(patched(base, bytes) as typeof base).recent.keys()]).toEqual(['b', 'c', 'a'])
  })

  test('a container that was made anew and holds the same takes no edit', () => {
    const base = { user: { name: 'Ada' }, tags: ['x'] }
    const next = { user: { ...base.user }, tags: [...base.tags] }
    expect(script(base, next).length).toBe(1)
    expect(patched(base, script(base, next))).toBe(base)
  })

  test("immer's applyPatches makes of our patches what changed", () => {
    fc.assert(
      fc.property(patchableValue.filter(isContainer), fc.array(step, { maxLength: 5 }), (base, steps) => {
        const next = immer.produce(base, (draft) => {
          for (const one of steps) change(draft, one)
        })
        // Members of sets that are objects are known to immer by identity; the base's own are there.
        expect(sorted(applyPatches(base as object, patchesBetween(base, next)))).toBe(sorted(next))
      }),
      { numRuns: 500, seed: 11 },
    )
  })

  test('a script that does not fit the state is CORRUPT', () => {
    const bytes = script({ a: { b: 1 } }, { a: { b: 2, c: [1] } })
    for (const state of [{}, [], new Map(), { a: [] }, { a: 1 }, 5, null])
      expect(() => patched(state, bytes)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    const list = script([1, 2, 3], [1, 2, 3, 4])
    expect(() => patched([1], list)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  })
})

/** immer's patches know no order of members. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`
  if (value instanceof Map) return `Map{${[...value].map(([key, item]) => `${show(key)}=>${sorted(item)}`).join(',')}}`
  if (value instanceof Set) return `Set{${[...value].map(sorted).sort().join(',')}}`
  if (typeof value === 'object' && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array))
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}:${sorted(item)}`)
      .join(',')}}`
  return show(value)
}
