import { type Acl, CREATE_MODES } from '@antiphon/znode-tree'
import fc from 'fast-check'
import { digestIdentity } from './model/access.ts'
import {
  CLIENTS,
  type CreatePart,
  type Data,
  type Jump,
  type Operation,
  type Part,
  type Program,
  type Step,
  WATCHER_TYPES,
  type WatcherType,
} from './program.ts'

type Make<T> = fc.Arbitrary<T>

const PATHS = ['/p', '/p/a', '/p/b', '/p/a/b', '/p/a/c', '/p/a/b/c', '/p/s-0000000000', '/p/s-0000000001', '/p/a/0000000000', '/p/a/s-0000000001']
const SEQUENCES = ['/p/s-', '/p/a/', '/p/a/s-', '/p/', '/p/b/s-']
const ODD_PATHS = [
  'bad',
  '/p/',
  '/p/a/',
  '/p//b',
  '/p/.',
  '/p/..',
  '/p/a/./b',
  '/p/a/../b',
  '/p/...',
  '/p/a\0b',
  '/p/a\u0001',
  '/p/a\u007f',
  '/p/\u00e9',
  '/p/\u4e2d',
  '/p/\ue000',
  '/p/\ufff5',
  '/p/none/below',
  '/p/a/b/c/d/e',
]
const SPECIAL = ['/zookeeper', '/zookeeper/config']

const path: Make<string> = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 2, arbitrary: fc.constantFrom(...ODD_PATHS) },
  { weight: 1, arbitrary: fc.constantFrom(...SPECIAL) },
)
/** Nothing is made below the special nodes, for programs share them. */
const newPath: Make<string> = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 3, arbitrary: fc.constantFrom(...ODD_PATHS, '/zookeeper') },
)
/** Nobody may write `/zookeeper/config`; `/zookeeper` belongs to all programs. */
const ownPath: Make<string> = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 2, arbitrary: fc.constantFrom(...ODD_PATHS) },
  { weight: 1, arbitrary: fc.constant('/zookeeper/config') },
)
const doomed: Make<string> = fc.oneof({ weight: 30, arbitrary: path }, { weight: 1, arbitrary: fc.constantFrom('/', '/zookeeper/quota', ...SPECIAL) })

const data: Make<Data> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 2, arbitrary: fc.constant('') },
  { weight: 5, arbitrary: fc.constantFrom('x', 'yy', 'zzz') },
  { weight: 1, arbitrary: fc.constantFrom('\0\xff', 'd'.repeat(300), 'e'.repeat(5000)) },
)
const version: Make<number> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(-1) },
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(-2, 2 ** 31 - 1, -(2 ** 31)) },
)

export const CREDENTIALS = ['ann:1', 'bob:2', 'ann:2', 'odd']
const [ann, bob] = CREDENTIALS.map((credential) => digestIdentity(credential).id)
const perms = fc.oneof({ weight: 3, arbitrary: fc.constant(31) }, { weight: 4, arbitrary: fc.integer({ min: 0, max: 31 }) })
const id: Make<Omit<Acl, 'perms'>> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ scheme: 'world', id: 'anyone' }) },
  { weight: 5, arbitrary: fc.constantFrom({ scheme: 'digest', id: ann! }, { scheme: 'digest', id: bob! }) },
  { weight: 3, arbitrary: fc.constantFrom({ scheme: 'auth', id: '' }, { scheme: 'auth', id: 'whatever' }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...['127.0.0.1', '127.0.0.0/8', '127.128.0.0/9', '0.0.0.0/0', '10.0.0.1', '127.0.0.2/31'].map((of) => ({ scheme: 'ip', id: of })),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { scheme: 'world', id: 'someone' },
      { scheme: 'ip', id: '127.0.0' },
      { scheme: 'ip', id: '127.0.0.1/33' },
      { scheme: 'ip', id: '256.0.0.1' },
      { scheme: 'digest', id: 'nobody' },
      { scheme: 'digest', id: 'a:b:c' },
      { scheme: 'digest', id: 'a:' },
      { scheme: 'digest', id: ':b' },
      { scheme: 'super', id: 'me' },
      { scheme: 'none', id: 'x' },
    ),
  },
)
const entry: Make<Acl> = fc.tuple(perms, id).map(([bits, of]) => ({ perms: bits, ...of }))
const OPEN: readonly Acl[] = [{ perms: 31, scheme: 'world', id: 'anyone' }]
/** Mostly open: a tree that nobody may touch is soon a dull one. */
const acl: Make<readonly Acl[]> = fc.oneof({ weight: 8, arbitrary: fc.constant(OPEN) }, { weight: 3, arbitrary: fc.array(entry, { maxLength: 3 }) })
const otherAcl: Make<readonly Acl[]> = fc.oneof({ weight: 2, arbitrary: fc.constant(OPEN) }, { weight: 3, arbitrary: fc.array(entry, { maxLength: 3 }) })

const ttlMs = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(3_600_000, 2 ** 40 - 1) }, { weight: 1, arbitrary: fc.constantFrom(0, -1, 2 ** 40) })
const create: Make<CreatePart> = fc
  .record({
    mode: fc.oneof({ weight: 3, arbitrary: fc.constant('persistent' as const) }, { weight: 5, arbitrary: fc.constantFrom(...CREATE_MODES) }),
    plain: newPath,
    sequence: fc.constantFrom(...SEQUENCES),
    data,
    acl,
    ttlMs,
    stat: fc.boolean(),
  })
  .map(({ mode, plain, sequence, ...rest }) => ({
    op: 'create',
    ...rest,
    mode,
    path: mode.includes('sequential') ? sequence : plain,
    ttlMs: mode.endsWith('with-ttl') ? rest.ttlMs : 0,
    // Without a Stat only what the wire has an operation for.
    stat: rest.stat || mode.endsWith('with-ttl') || mode === 'container',
  }))

const part: Make<Part> = fc.oneof(
  { weight: 5, arbitrary: create },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), path: doomed, version }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('setData' as const), path: ownPath, data, version }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('check' as const), path, version }) },
)
/** More of it that can succeed: any node, any version. */
const likely: Make<Part> = fc.oneof(
  { weight: 6, arbitrary: create.map((made) => ({ ...made, acl: OPEN })) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), path: fc.constantFrom(...PATHS), version: fc.constant(-1) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('setData' as const), path: fc.constantFrom(...PATHS), data, version: fc.constant(-1) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('check' as const), path: fc.constantFrom('/p', '/p/a'), version: fc.constant(-1) }) },
)

const watch = fc.boolean()
const watched = fc.constantFrom('/p', '/p', ...PATHS)
const type: Make<WatcherType> = fc.constantFrom(...(Object.keys(WATCHER_TYPES) as WatcherType[]))
const some = fc.array(watched, { maxLength: 2 })
const lists = { before: fc.nat(6), data: some, exists: some, children: some, persistent: some, recursive: some }

const operation: Make<Operation> = fc.oneof(
  { weight: 22, arbitrary: create },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('delete' as const), path: doomed, version }) },
  { weight: 10, arbitrary: fc.record({ op: fc.constant('setData' as const), path: ownPath, data, version }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('setAcl' as const), path: ownPath, acl: otherAcl, version }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('multi' as const), parts: fc.array(part, { maxLength: 4 }) }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('multi' as const), parts: fc.array(likely, { minLength: 1, maxLength: 4 }) }) },
  { weight: 9, arbitrary: fc.record({ op: fc.constant('exists' as const), path, watch }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('getData' as const), path, watch }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('children' as const), path, watch, stat: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('getAcl' as const, 'countDescendants' as const), path: ownPath }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('sync' as const), path }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('ephemerals' as const), prefix: fc.constantFrom('/p', '/p/a', '/p/s', null, '', '/', ' / ', '/x') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('multiRead' as const),
      parts: fc.array(fc.record({ op: fc.constantFrom('getData' as const, 'children' as const), path }), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ op: 'whoAmI' as const }) },
  { weight: 7, arbitrary: fc.record({ op: fc.constant('addWatch' as const), path: watched, recursive: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('removeWatches' as const, 'checkWatches' as const), path: watched, type }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('setWatches' as const), ...lists }) },
  { weight: 3, arbitrary: fc.constantFrom({ op: 'close' as const }, { op: 'close' as const }, { op: 'expire' as const }) },
  { weight: 5, arbitrary: fc.constantFrom({ op: 'open' as const }, { op: 'open' as const, local: true as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ op: 'reattach' as const }, { op: 'reattach' as const }, { op: 'intrude' as const }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('auth' as const), credential: fc.constantFrom(...CREDENTIALS) }) },
)

const client = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(CLIENTS - 1) })
/** `often`: three steps of four are held, else one. */
const stepOf = (often: boolean): Make<readonly Step[]> =>
  fc
    .record({ operation, client, held: fc.integer({ min: 0, max: 3 }) })
    .map(({ operation: does, client: by, held }) => [(held === 0) === often ? { ...does, client: by } : { ...does, client: by, held: true }])

/** A session ends, and others ask for what it leaves. */
const leaving: Make<readonly Step[]> = fc
  .record({
    at: fc.constantFrom('/p/a', '/p/b', '/p/a/b'),
    who: fc.nat(CLIENTS - 1),
    others: fc.array(fc.constantFrom('create', 'delete', 'multi', 'look'), { maxLength: 3 }),
    held: fc.boolean(),
  })
  .map(({ at, who, others, held }) => {
    const made: CreatePart = { op: 'create', path: at, data: 'x', acl: OPEN, mode: 'ephemeral', ttlMs: 0, stat: true }
    const other = (who + 1) % CLIENTS
    const asked = others.map((what): Operation => {
      if (what === 'create') return { ...made, mode: 'persistent' }
      if (what === 'delete') return { op: 'delete', path: '/p/a', version: -1 }
      return what === 'look' ? { op: 'exists', path: at, watch: true } : { op: 'multi', parts: [made, { op: 'setData', path: at, data: 'yy', version: 0 }] }
    })
    const steps: Step[] = [{ ...made, client: who }, { op: 'close', client: who }, ...asked.map((does) => ({ ...does, client: other }))]
    return [...steps.map((one) => (held ? { ...one, held } : one)), { op: 'open', client: who }]
  })

const persistent = (at: string, text: string): Operation => ({ op: 'create', path: at, data: text, acl: OPEN, mode: 'persistent', ttlMs: 0, stat: false })

/** A session that nobody knows, until it makes its first ephemeral node or is refused one. */
const local: Make<readonly Step[]> = fc
  .record({
    who: fc.nat(CLIENTS - 1),
    before: fc.array(operation, { maxLength: 2 }),
    at: fc.constantFrom('/p/a', '/p/b', '/p/s-', '/p/none/below'),
    how: fc.constantFrom('alone', 'alone', 'in a multi', 'in a multi that fails', 'not at all'),
    behind: fc.array(operation, { maxLength: 2 }),
    end: fc.constantFrom({ op: 'close' as const }, { op: 'expire' as const }, { op: 'reattach' as const }, { op: 'intrude' as const }),
    held: fc.boolean(),
  })
  .map(({ who, before, at, how, behind, end, held }) => {
    const made: CreatePart = {
      op: 'create',
      path: at,
      data: 'x',
      acl: OPEN,
      mode: at.endsWith('-') ? 'ephemeral-sequential' : 'ephemeral',
      ttlMs: 0,
      stat: true,
    }
    const failing: Part = { op: 'check', path: '/p/none', version: -1 }
    const parts: readonly Part[] = how === 'in a multi' ? [made] : [made, failing]
    const first: Operation[] = how === 'not at all' ? [] : how === 'alone' ? [made] : [{ op: 'multi', parts }]
    const all: Operation[] = [{ op: 'close' }, { op: 'open', local: true }, ...before, ...first, ...behind, end, { op: 'open' }]
    return all.map((does) => ({ ...does, client: who, ...(held ? { held } : {}) }))
  })

/** One path, watched by one client in several ways; some of them are taken away again before it hears of the path. */
const crowd: Make<readonly Step[]> = fc
  .record({
    who: fc.nat(CLIENTS - 1),
    at: fc.constantFrom('/p', '/p/a', '/p/a/b'),
    kinds: fc.array(fc.constantFrom('data', 'exists', 'children', 'persistent', 'recursive'), { minLength: 2, maxLength: 5 }),
    away: fc.array(type, { minLength: 1, maxLength: 2 }),
    asked: type,
    changes: fc.array(fc.constantFrom('set', 'child', 'delete'), { maxLength: 3 }),
  })
  .map(({ who, at, kinds, away, asked, changes }) => {
    const watching = kinds.map((kind): Operation => {
      if (kind === 'data') return { op: 'getData', path: at, watch: true }
      if (kind === 'exists') return { op: 'exists', path: at, watch: true }
      if (kind === 'children') return { op: 'children', path: at, watch: true, stat: false }
      return { op: 'addWatch', path: at, recursive: kind === 'recursive' }
    })
    const changing = changes.map((what): Operation => {
      if (what === 'set') return { op: 'setData', path: at, data: 'yy', version: -1 }
      if (what === 'delete') return { op: 'delete', path: at, version: -1 }
      return { op: 'create', path: `${at}/s-`, data: null, acl: OPEN, mode: 'persistent-sequential', ttlMs: 0, stat: false }
    })
    const removing = away.map((kind): Operation => ({ op: 'removeWatches', path: at, type: kind }))
    const steps: Operation[] = [persistent(at, 'x'), ...watching, ...removing, { op: 'checkWatches', path: at, type: asked }, ...changing]
    return steps.map((does) => ({ ...does, client: who }))
  })

/** Others change what clients may be watching, and nobody hears of it at once. */
const jump: Make<readonly Step[]> = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: create.filter(({ mode }) => !mode.startsWith('ephemeral')) },
      { weight: 4, arbitrary: fc.record({ op: fc.constant('delete' as const), path: fc.constantFrom(...PATHS), version: fc.constant(-1) }) },
      { weight: 4, arbitrary: fc.record({ op: fc.constant('setData' as const), path: fc.constantFrom(...PATHS), data, version: fc.constant(-1) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('setAcl' as const), path: fc.constantFrom(...PATHS), acl: otherAcl, version: fc.constant(-1) }) },
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((writes): readonly (Jump & { client: number })[] => [{ op: 'jump', writes, client: 0 }])

const below = fc.constantFrom('/p', '/p', '/p/a', '/p/a/b')
const limits = fc.constantFrom(
  'count=3,bytes=-1',
  'count=-1,bytes=10=;byteHardLimit=20;countHardLimit=4',
  'count=-1,bytes=-1=;countHardLimit=2',
  'count=-1,bytes=-1=;byteHardLimit=4',
  '',
)
const sequential = (at: string): CreatePart => ({ op: 'create', path: at, data: 'zzz', acl: OPEN, mode: 'persistent-sequential', ttlMs: 0, stat: false })

const QUOTA_STEPS = ['make', 'burst', 'burst', 'free', 'free', 'usage', 'limit', 'read', 'unlimit', 'unuse'] as const

function quotaSteps(what: (typeof QUOTA_STEPS)[number], at: string, text: string): Operation[] {
  const node = `/zookeeper/quota${at}`
  const parents = at.split('/').slice(1)
  const made = parents.map((_, i) => persistent(`/zookeeper/quota/${parents.slice(0, i + 1).join('/')}`, ''))
  switch (what) {
    case 'make':
      return [...made, persistent(`${node}/zookeeper_limits`, text), persistent(`${node}/zookeeper_stats`, 'count=0,bytes=0')]
    case 'burst':
      return [{ op: 'multi', parts: [sequential('/p/s-'), sequential('/p/a/'), sequential('/p/s-')].filter((_, i) => i !== 1 || at !== '/p') }]
    case 'free':
      return ['/p/s-0000000000', '/p/a/0000000000'].map((path) => ({ op: 'delete', path, version: -1 }))
    case 'usage':
      return [...made, persistent(`${node}/zookeeper_stats`, 'count=0,bytes=0')]
    case 'limit':
      return [{ op: 'setData', path: `${node}/zookeeper_limits`, data: text, version: -1 }]
    case 'read':
      return [{ op: 'getData', path: `${node}/zookeeper_stats`, watch: true }]
    case 'unlimit':
      return [{ op: 'delete', path: `${node}/zookeeper_limits`, version: -1 }]
    case 'unuse':
      return [{ op: 'delete', path: `${node}/zookeeper_stats`, version: -1 }]
  }
}

const quotaOf = (what: Make<(typeof QUOTA_STEPS)[number]>): Make<readonly Step[]> =>
  fc
    .record({ below, limits, client, what, held: fc.boolean() })
    .map(({ below: at, limits: text, client: by, what: does, held }) =>
      quotaSteps(does, at, text).map((one) => ({ ...one, client: by, ...(held ? { held } : {}) })),
    )
const quota = quotaOf(fc.constantFrom(...QUOTA_STEPS))

const mischief: Make<readonly Step[]> = fc
  .constantFrom('abandon' as const, 'unprepare' as const, 'restore' as const, 'lead' as const)
  .map((op) => [{ op, client: 0 }])

export interface Shape {
  readonly steps: number
}

/** One program in six has quotas; in one of three most changes wait for others. */
export function programs({ steps }: Shape): Make<Program> {
  const list = (of: Make<readonly Step[]>): Make<Program> => fc.array(of, { minLength: 1, maxLength: steps, size: 'max' }).map((chunks) => chunks.flat())
  const some = (often: boolean, quotas: number): Make<Program> => {
    const rest = list(
      fc.oneof(
        { weight: 40, arbitrary: stepOf(often) },
        { weight: 1, arbitrary: leaving },
        { weight: 1, arbitrary: local },
        { weight: 1, arbitrary: crowd },
        { weight: 1, arbitrary: jump },
        { weight: 2, arbitrary: mischief },
        ...(quotas === 0 ? [] : [{ weight: quotas, arbitrary: quota }]),
      ),
    )
    return quotas === 0 ? rest : fc.tuple(quotaOf(fc.constant('make')), rest).map((chunks) => chunks.flat())
  }
  return fc.oneof(
    { weight: 6, arbitrary: some(false, 0) },
    { weight: 4, arbitrary: some(true, 0) },
    { weight: 1, arbitrary: some(false, 10) },
    { weight: 1, arbitrary: some(true, 15) },
  )
}

/** The program of a seed. */
export function programOf(seed: number, shape: Shape): Program {
  return fc.sample(programs(shape), { numRuns: 1, seed })[0]!
}
