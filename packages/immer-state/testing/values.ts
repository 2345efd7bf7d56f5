import fc from 'fast-check'

const key = fc.string().filter((text) => text !== '__proto__')
const leaf = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    false,
    0,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    127,
    128,
    -1,
    2 ** 53 - 1,
    -(2 ** 53) + 1,
    2 ** 53,
    0.1,
  ),
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  // Lone surrogates included.
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((units) => String.fromCharCode(...units)),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
)
const primitive = leaf.filter((item) => (typeof item !== 'object' || item === null) && item !== undefined)

function values(keys: fc.Arbitrary<unknown>, dictionaries: boolean): fc.Arbitrary<unknown> {
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 6 }),
      fc.dictionary(key, tie('value'), { maxKeys: 6, noNullPrototype: !dictionaries }),
      fc.array(fc.tuple(keys, tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
      fc.array(tie('value'), { maxLength: 6 }).map((items) => new Set(items)),
    ),
  })).value
}

/** Anything that a state may hold, nested. */
export const anyValue: fc.Arbitrary<unknown> = values(primitive, true)
/** What immer 11.2.10 can draft: objects without a prototype inside a Set it cannot, it uses members as names of properties. */
export const draftableValue: fc.Arbitrary<unknown> = values(primitive, false)
/** What immer's `applyPatches` can find its way in: its paths are of strings and numbers. */
export const patchableValue: fc.Arbitrary<unknown> = values(fc.oneof(fc.string(), fc.integer()), false)
