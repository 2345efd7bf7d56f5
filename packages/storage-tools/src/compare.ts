import { formatZxid, type Run } from '@antiphon/ports'
import { damaged } from './errors.ts'
import { runsBehind, type Source } from './source.ts'

/** @throws AntiphonError CORRUPT */
export function expectEqual(what: string, found: object, expected: object): void {
  if (canonical(found) !== canonical(expected)) throw damaged(`${what} is not what it should be: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`)
}

/** Keys in one order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, held: unknown) => {
    if (typeof held !== 'object' || held === null || Array.isArray(held)) return held
    return Object.fromEntries(Object.entries(held).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** Every chunk of the newest snapshot and every byte of every entry behind it. How many entries. @throws AntiphonError CORRUPT */
export async function expectSameHistory(a: Source, b: Source): Promise<number> {
  const [of, copy] = await Promise.all([a.openSnapshot(), b.openSnapshot()])
  try {
    expectEqual('the copied snapshot', { meta: copy?.meta ?? null, bytes: copy?.bytes ?? 0 }, { meta: of?.meta ?? null, bytes: of?.bytes ?? 0 })
    if (of !== null && copy !== null) await expectSameBytes('a chunk of the snapshot', of.chunks(), copy.chunks())
  } finally {
    await of?.close()
    await copy?.close()
  }
  const from = of?.meta.zxid ?? a.state.log.start
  let entries = 0
  const bytesOf = async function* (source: Source): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const run of runsBehind(source, from, a.state.log.last)) {
      if (source === a) entries += run.entries
      yield run.bytes
    }
  }
  await expectSameBytes(`an entry behind ${formatZxid(from)}`, bytesOf(a), bytesOf(b))
  return entries
}

/** Pieces may be cut differently. */
async function expectSameBytes(what: string, a: AsyncIterable<Run['bytes']>, b: AsyncIterable<Run['bytes']>): Promise<void> {
  const others = b[Symbol.asyncIterator]()
  let other: Uint8Array = new Uint8Array(0)
  let at = 0
  for await (const piece of a) {
    for (let i = 0; i < piece.length; i++) {
      while (at === other.length) {
        const next = await others.next()
        if (next.done === true) throw damaged(`${what} is missing in the copy`)
        other = next.value
        at = 0
      }
      if (piece[i] !== other[at++]) throw damaged(`${what} differs in the copy`)
    }
  }
  if (at < other.length || !(await isEnded(others))) throw damaged(`${what} is in the copy alone`)
}

async function isEnded(pieces: AsyncIterator<Uint8Array>): Promise<boolean> {
  for (;;) {
    const next = await pieces.next()
    if (next.done === true) return true
    if (next.value.length > 0) return false
  }
}
