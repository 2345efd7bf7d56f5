import { type Zxid, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { NO_NODE } from './data-tree-types.ts'
import { batchOf, create, START_TIME } from './machine.test-support.ts'
import { znodeTreeOn } from './machine.ts'
import { TreeLoader } from './snapshot/loader.ts'
import { PLAIN } from './store/tree-state.ts'
import type { WriteOperation } from './types.ts'

/** How the children of a parent are called that has made all but two of 2^31, when so many are prepared at a time. */
function names(ahead: number): { names: string[]; cversion: number } {
  const zero = { czxid: 0 as Zxid, mzxid: 0 as Zxid, pzxid: 0 as Zxid, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 }
  const loader = new TreeLoader()
  const root = loader.add(NO_NODE, '', PLAIN, zero)
  const system = loader.add(root, 'zookeeper', PLAIN, zero)
  for (const name of ['quota', 'config']) loader.add(system, name, PLAIN, zero)
  const busy = loader.add(root, 'busy', PLAIN, { ...zero, created: 2 ** 31 - 2 })
  loader.add(busy, 'n-0000000000', PLAIN, zero)
  const machine = znodeTreeOn(loader.finish())
  let counter = 0
  const context = (): Parameters<NonNullable<typeof machine.prepare>>[1] => {
    return { epoch: 1, zxid: zxidOf(1, counter), time: START_TIME, monotonic: 0, tickMs: 100, changeBytesMax: 1 << 20, random: () => 0 }
  }
  machine.leading!(context())
  const made: string[] = []
  const prepare = (operation: WriteOperation): Parameters<typeof batchOf>[0][number] => {
    counter++
    const request = { kind: 'write', session: 0n, attachment: 0 as Zxid, local: true, identities: [], operation } as const
    return { change: machine.prepare!(machine.encodeRequest(request), context()).slice(), zxid: zxidOf(1, counter), time: START_TIME }
  }
  const next = create('/busy/n-', { mode: 'persistent-sequential' })
  // The first half of a multi that fails takes a number, and gives it back.
  const failing: WriteOperation = { type: 'multi', operations: [next, create('/none/x')] }
  while (made.length < 6) {
    const batch = Array.from({ length: ahead }, () => [prepare(failing), prepare(next as WriteOperation)]).flat()
    for (const result of machine.apply(batchOf(batch))) if (result.type !== 'multi') made.push(result.type === 'create' ? result.path.slice(6) : result.type)
  }
  return { names: made, cversion: machine.reader.exists('/busy')!.cversion }
}

test.each([1, 2, 3, 6])(
  'a busy parent gives each number once, the negative ones behind the highest, with %i prepared ahead (client-protocol.md 5; museum row 27)',
  (ahead) => {
    expect(names(ahead)).toEqual({
      names: ['n-2147483646', 'n-2147483647', 'n--2147483648', 'n--2147483647', 'n--2147483646', 'n--2147483645'],
      // Twice 2^31 + 4, less the seven that are there, in 32 bits.
      cversion: 1,
    })
  },
)
