import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { childPath, hasParent, isValidPath, isWithin, nodeName, parentPath, pathFault, sequentialSuffix, validatePath } from './path.ts'

/** The rules of client-protocol.md 7 once more, the slow way. */
function isValidSlowly(path: string): boolean {
  if (path === '/') return true
  if (!path.startsWith('/')) return false
  const names = path.slice(1).split('/')
  if (names.some((name) => name === '' || name === '.' || name === '..')) return false
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is forbidden
  return !/[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/.test(path)
}

const anyUnit = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('/', '.', 'a', 'b', '-', ' ', 'é') },
  { weight: 1, arbitrary: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) },
)
const anyText = fc.array(anyUnit, { maxLength: 12 }).map((units) => units.join(''))
const anyNames = fc.array(
  fc.array(fc.constantFrom('a', 'b', '.', '0', 'é', '-'), { minLength: 1, maxLength: 4 }).map((units) => `n${units.join('')}`),
  { maxLength: 5 },
)

describe('paths (client-protocol.md 7; ZooKeeper PathUtilsTest)', () => {
  test.each([
    '/',
    '/a',
    '/a/b',
    '/this is / a valid/path',
    '/name.with.dots',
    '/.../a',
    '/..a',
    '/a..',
    '/.a',
    '/a.',
    '/\u0020',
    '/\u007e',
    '/\u00a0',
    '/\ud7ff',
    '/\uf900',
    '/\uffef',
  ])('%j is one', (path) => {
    expect(pathFault(path)).toBeNull()
    expect(() => validatePath(path)).not.toThrow()
  })

  test.each([
    '',
    'a',
    'a/b',
    '/a/',
    '//',
    '//a',
    '/a//b',
    '/.',
    '/..',
    '/a/.',
    '/a/..',
    '/./a',
    '/../a',
    '/a/./b',
    '/a/../b',
    '/\0',
    '/a\0b',
    '/\u0001',
    '/\u001f',
    '/\u007f',
    '/\u009f',
    '/\ud800',
    '/\udfff',
    '/\ue000',
    '/\uf8ff',
    '/\ufff0',
    '/\uffff',
    '/\u{1f600}',
  ])('%j is none', (path) => {
    expect(isValidPath(path)).toBe(false)
    let error: unknown
    try {
      validatePath(path)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(AntiphonError)
    expect(error).toMatchObject({ code: 'REFUSED', refusal: 'BAD_ARGUMENTS', details: { zookeeperCode: -8 } })
  })

  test('of each of the 65,536 units it is told whether it may stand in a name', () => {
    const units = Array.from({ length: 0x10000 }, (_, unit) => unit)
    const judged = (judge: (path: string) => boolean): number[] => units.filter((unit) => judge(`/a${String.fromCharCode(unit)}b`))
    expect(judged(isValidPath)).toEqual(judged(isValidSlowly))
  })

  test('any text is judged as the rules say', () => {
    fc.assert(
      fc.property(anyText, fc.boolean(), (text, rooted) => {
        const path = rooted ? `/${text}` : text
        expect(isValidPath(path)).toBe(isValidSlowly(path))
      }),
      { numRuns: 3_000, seed: 7 },
    )
  })

  test('parent, name and child fit together', () => {
    fc.assert(
      fc.property(anyNames, (names) => {
        const path = names.reduce(childPath, '/')
        expect(isValidPath(path)).toBe(true)
        expect(path).toBe(names.length === 0 ? '/' : `/${names.join('/')}`)
        expect(parentPath(path)).toBe(names.slice(0, -1).reduce(childPath, '/'))
        expect(nodeName(path)).toBe(names.at(-1) ?? '')
        for (let depth = 0; depth <= names.length; depth += 1) expect(isWithin(path, names.slice(0, depth).reduce(childPath, '/'))).toBe(true)
        expect(isWithin(`${path === '/' ? '' : path}x`, path)).toBe(path === '/')
      }),
      { numRuns: 500, seed: 8 },
    )
  })

  test("a path of a create is looked at in ZooKeeper's order: first for a slash and NUL, then its parent is sought, and only then is it validated whole", () => {
    expect(['bad', '', '/a\0'].map(hasParent)).toEqual([false, false, false])
    expect(['/bad/', '/a//b', '/a/.', '/', '/q', 'x/y'].map((path) => [hasParent(path), parentPath(path)])).toEqual([
      [true, '/bad'],
      [true, '/a/'],
      [true, '/a'],
      [true, '/'],
      [true, '/'],
      [true, 'x'],
    ])
  })
})

describe('the numbers of sequential nodes (client-protocol.md 5; museum row 27)', () => {
  test.each([
    [0, '0000000000'],
    [7, '0000000007'],
    [123_456_789, '0123456789'],
    [1_000_000_000, '1000000000'],
    [2_147_483_647, '2147483647'],
    [2_147_483_648, '-2147483648'],
    [-2_147_483_648, '-2147483648'],
    [-1, '-000000001'],
    [-1_234, '-000001234'],
  ])('%d gives %s', (number, suffix) => expect(sequentialSuffix(number)).toBe(suffix))

  test('ten places, the number read back, and the order of names is the order of numbers below the wrap', () => {
    fc.assert(
      fc.property(fc.nat(0x7fffffff), fc.nat(0x7fffffff), (one, other) => {
        expect(sequentialSuffix(one)).toHaveLength(10)
        expect(Number(sequentialSuffix(one))).toBe(one)
        expect(Math.sign(one - other)).toBe(Math.sign(sequentialSuffix(one).localeCompare(sequentialSuffix(other), 'en')))
      }),
      { numRuns: 500, seed: 9 },
    )
  })
})
