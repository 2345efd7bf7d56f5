import type { WatchEvent } from '@antiphon/znode-tree'
import { Child } from './children.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'
import { DATA_BYTES, DrivenTree, fill, type Holder, type PlainNode, pathOf, plainNodes } from './znodes/driven.ts'

const NODES = 100_000
const NODES_IN_MEMORY = 1_000_000
const SEQUENTIAL = 100_000
const TENTH = 10_000
const RECURSIVE = 1000
const EPHEMERALS = 10_000
/** Calls between two looks at the clock. */
const CALLS = 1000
/** Has no divisor in common with NODES: it meets every node, in no order of the tree's own. */
const STRIDE = 7919

interface Figures {
  /** One value a round. */
  readonly [name: string]: number[]
}

/** One tree that is its own primary: reads and writes a second, and what they cost under watches; memory; what grows with the number of children; the end of a session. */
export async function znode(options: Options): Promise<Result[]> {
  const memory = await memoryFigures()
  const holder = new DrivenTree().open()
  fill(holder, NODES)
  const plain = plainNodes(NODES)
  const paths = Array.from({ length: NODES }, (_, index) => pathOf((index * STRIDE) % NODES))
  const rows: Figures = { get: [], data: [], plainGet: [], fresh: [], plainFresh: [], set: [], plainSet: [] }
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, body] of Object.entries(bodies(holder, plain, paths))) rows[name]!.push(perSecond(body, options))
  }
  const watches = watched(holder, paths, options)
  const of = (name: string): number => median(rows[name]!)
  const map = 'a Map from path to object'
  return [
    result('znode.get', of('get'), 'gets/s', 'higher', { value: of('plainGet'), against: map }),
    result('znode.data', of('data'), 'gets/s', 'higher', { value: of('plainGet'), against: map }),
    result('znode.get.fresh', of('fresh'), 'gets/s', 'higher', { value: of('plainFresh'), against: map }),
    result('znode.set', of('set'), 'sets/s', 'higher', { value: of('plainSet'), against: map }),
    result('znode.memory', memory.tree.bytes, 'bytes/node', 'lower', { value: memory.plain.bytes, against: map }),
    result('znode.memory.gc', memory.tree.collectionMs, 'ms', 'lower', { value: memory.plain.collectionMs, against: map }),
    ...sequential(options),
    ...watches,
    ...close(options),
  ]
}

function bodies(holder: Holder, plain: Map<string, PlainNode>, paths: readonly string[]): Record<string, () => void> {
  const { tree } = holder
  const { reader } = tree.machine
  const data = new Uint8Array(DATA_BYTES).fill(0x65)
  const sets = paths.map((path) => holder.request({ type: 'setData', path, data, version: -1 }))
  let at = 0
  let checked = 0
  const each = (call: (index: number) => number): (() => void) => {
    return () => {
      for (let i = 0; i < CALLS; i++) {
        checked += call(at)
        at = at + 1 === NODES ? 0 : at + 1
      }
      if (!(checked > 0)) throw new Error('nothing was read')
    }
  }
  return {
    get: each((index) => reader.get(paths[index]!).stat.dataLength),
    data: each((index) => reader.data(paths[index]!)!.length),
    plainGet: each((index) => plain.get(paths[index]!)!.data.length),
    fresh: each((index) => reader.get(pathOf((index * STRIDE) % NODES)).stat.dataLength),
    plainFresh: each((index) => plain.get(pathOf((index * STRIDE) % NODES))!.data.length),
    set: each((index) => {
      tree.write(sets[index]!)
      return 1
    }),
    plainSet: each((index) => {
      const node = plain.get(paths[index]!)!
      node.data = data.slice()
      node.mzxid++
      node.mtime++
      return ++node.version
    }),
  }
}

/** Calls a second. */
function perSecond(body: () => void, { measureMs, warmUpMs }: Options): number {
  const during = (ms: number): number => {
    const begun = performance.now()
    let calls = 0
    let now = begun
    for (; now - begun < ms; now = performance.now()) {
      body()
      calls += CALLS
    }
    return calls / ((now - begun) / 1000)
  }
  during(warmUpMs / 4)
  return during(measureMs / 4)
}

async function memoryFigures(): Promise<{ tree: Growth; plain: Growth }> {
  const measured = async (what: 'tree' | 'plain'): Promise<Growth> => {
    const child = new Child(new URL('./znodes/growth.js', import.meta.url))
    try {
      return await child.call<Growth>(what, NODES_IN_MEMORY)
    } finally {
      await child.end()
    }
  }
  return { tree: await measured('tree'), plain: await measured('plain') }
}

interface Growth {
  readonly bytes: number
  readonly collectionMs: number
}

/** Microseconds of a sequential create under one parent: among the last tenth of many, beside the second tenth. */
function sequential(options: Options): Result[] {
  const [early, late]: [number[], number[]] = [[], []]
  for (let round = 0; round < options.rounds; round++) {
    const holder = new DrivenTree().open()
    holder.create('/queue', new Uint8Array(0))
    const data = new Uint8Array(DATA_BYTES)
    const request = holder.request({
      type: 'create',
      path: '/queue/item-',
      data,
      acl: [{ perms: 31, scheme: 'world', id: 'anyone' }],
      mode: 'persistent-sequential',
      ttlMs: 0,
    })
    const tenth = (): number => {
      const batches: number[] = []
      for (let made = 0; made < TENTH; made += 100) {
        const begun = performance.now()
        for (let i = 0; i < 100; i++) holder.tree.write(request)
        batches.push((performance.now() - begun) * 10)
      }
      return median(batches)
    }
    const all = Array.from({ length: SEQUENTIAL / TENTH }, tenth)
    early.push(all[1]!)
    late.push(all.at(-1)!)
  }
  return [result('znode.sequential', median(late), 'us', 'lower', { value: median(early), against: 'the second 10,000 of 100,000' })]
}

/** `setData` on a tree on which each node is watched, and a thousand more watches are recursive, beside the same without. */
function watched(holder: Holder, paths: readonly string[], options: Options): Result[] {
  const { tree } = holder
  const data = new Uint8Array(DATA_BYTES).fill(0x66)
  const sets = paths.map((path) => holder.request({ type: 'setData', path, data, version: -1 }))
  let at = 0
  let events = 0
  const watcher = { notify: (_event: WatchEvent) => void events++, mayRead: () => true }
  const body = (): void => {
    for (let i = 0; i < CALLS; i++) {
      tree.write(sets[at]!)
      at = at + 1 === NODES ? 0 : at + 1
    }
  }
  const [without, withThem]: [number[], number[]] = [[], []]
  for (let round = 0; round < options.rounds; round++) {
    without.push(1e6 / perSecond(body, options))
    for (const path of paths) tree.machine.watches.add(watcher, path, 'persistent')
    for (let i = 0; i < RECURSIVE; i++) tree.machine.watches.add(watcher, pathOf(i * (NODES / RECURSIVE)), 'recursive')
    withThem.push(1e6 / perSecond(body, options))
    tree.machine.watches.drop(watcher)
  }
  if (events === 0) throw new Error('no watch has fired')
  return [result('znode.watches', median(withThem), 'us', 'lower', { value: median(without), against: 'setData without a watch' })]
}

/** Milliseconds of the two slices in which a session with many ephemeral nodes ends: `prepare`, and `apply`. */
function close(options: Options): Result[] {
  const [preparing, applying]: [number[], number[]] = [[], []]
  for (let round = 0; round < options.rounds; round++) {
    const tree = new DrivenTree()
    const owner = tree.open()
    for (let i = 0; i < EPHEMERALS; i++) owner.create(`/ephemeral-${i}`, new Uint8Array(DATA_BYTES), 'ephemeral')
    tree.apply()
    const before = tree.machine.reader.size
    const begun = performance.now()
    owner.close()
    const prepared = performance.now()
    tree.apply()
    applying.push(performance.now() - prepared)
    preparing.push(prepared - begun)
    if (tree.machine.reader.size !== before - EPHEMERALS) throw new Error('ephemeral nodes are left')
  }
  return [result('znode.close.prepare', median(preparing), 'ms', 'lower', null), result('znode.close.apply', median(applying), 'ms', 'lower', null)]
}
