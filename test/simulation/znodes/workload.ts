import type { Model, SimulateOptions } from '@antiphon/simulator'
import { type CheckOperation, type CreateMode, type MultiPart, OPEN_ACL, type WriteOperation, type ZnodeRequest, type ZnodeResult } from '@antiphon/znode-tree'
import { CREATED_AT_FIRST, LEFT_IN_QUEUE, numbered, QUEUE } from './first-state.ts'
import type { Wish } from './watched-tree.ts'

type Random = Parameters<SimulateOptions<unknown, unknown>['workload']>[0]

const SESSIONS = 4
const PARENTS = ['/a', '/b', '/a/c'] as const
const NAMES = ['x', 'y'] as const
/** Only ever touched by single writes of nobody's session: what the model of registers judges. */
const REGISTERS = ['/r1', '/r2'] as const
const MODES: readonly CreateMode[] = ['persistent', 'ephemeral', 'persistent-sequential', 'ephemeral-sequential', 'container', 'persistent-with-ttl']

/** Sessions come and go, collide on a few paths, and write behind their own end. */
export function workload(random: Random): Wish {
  const session = random.between(1, SESSIONS)
  const roll = random.unit()
  if (roll < 0.12) return { kind: 'open', session }
  if (roll < 0.2) return { kind: 'close', session }
  if (roll < 0.36) return { kind: 'write', session: 0, operation: onRegister(random) }
  if (roll < 0.46) return { kind: 'write', session: 0, operation: onQueue(random) }
  return { kind: 'write', session: random.chance(0.15) ? 0 : session, operation: random.chance(0.4) ? multi(random) : single(random) }
}

function onRegister(random: Random): WriteOperation {
  const path = random.pick(REGISTERS)
  const roll = random.unit()
  if (roll < 0.4) return { type: 'create', path, data: bytes(random), acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 }
  if (roll < 0.8) return { type: 'setData', path, data: bytes(random), version: random.between(-1, 3) }
  return { type: 'delete', path, version: random.between(-1, 3) }
}

/** Children are made by what the model of the queue judges alone. */
function onQueue(random: Random): WriteOperation {
  if (random.chance(0.7)) {
    const mode = random.chance(0.8) ? 'persistent-sequential' : 'persistent-sequential-with-ttl'
    return { type: 'create', path: `${QUEUE}/n`, data: null, acl: OPEN_ACL, mode, ttlMs: mode.endsWith('ttl') ? random.between(1, 2_000) : 0 }
  }
  const made = CREATED_AT_FIRST[QUEUE]!
  const name = random.chance(0.2) ? random.pick(LEFT_IN_QUEUE) : `n${numbered(random.between(made, made + 8))}`
  return { type: 'delete', path: `${QUEUE}/${name}`, version: -1 }
}

function multi(random: Random): WriteOperation {
  return { type: 'multi', operations: Array.from({ length: random.between(0, 4) }, () => part(random)) }
}

function part(random: Random): MultiPart {
  return random.chance(0.1) ? { type: 'check', path: place(random), version: random.between(-1, 1) } : single(random)
}

function place(random: Random): string {
  const parent = random.pick(PARENTS)
  return random.chance(0.5) ? parent : `${parent}/${random.pick(NAMES)}`
}

function single(random: Random): Exclude<MultiPart, CheckOperation> {
  const path = place(random)
  const roll = random.unit()
  if (roll < 0.55) {
    const mode = random.pick(MODES)
    return { type: 'create', path, data: bytes(random), acl: OPEN_ACL, mode, ttlMs: mode.endsWith('ttl') ? random.between(1, 2_000) : 0 }
  }
  if (roll < 0.75) return { type: 'setData', path, data: random.chance(0.2) ? null : bytes(random), version: random.between(-1, 1) }
  return { type: 'delete', path, version: random.between(-1, 1) }
}

function bytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: random.between(0, 40) }, (_, i) => i)
}

/** A register that one path is: absent (-1), or there in some version. And a queue, whose next number says how many have joined it since its first state (-1: none). */
export const MODEL: Model<string | number | object, Wish | ZnodeRequest, ZnodeResult> = {
  initial: -1,
  key: String,
  step(state, input, output) {
    const part = partition(input)
    if (part === '') return state
    const { operation } = input as Wish & { kind: 'write' }
    if (part === QUEUE) return joined(state as number, output)
    const [next, error] = outcome(state as number, operation)
    if (output === null) return next
    return (output.type === 'error' ? output.error : null) === error ? next : null
  },
}

function joined(state: number, output: ZnodeResult | null): number | null {
  const name = numbered(CREATED_AT_FIRST[QUEUE]! + state + 1)
  return output === null || (output.type === 'create' && output.path === `${QUEUE}/n${name}`) ? state + 1 : null
}

function outcome(version: number, operation: WriteOperation): [next: number, error: string | null] {
  if (operation.type === 'create') return version === -1 ? [0, null] : [version, 'NODE_EXISTS']
  if (operation.type !== 'delete' && operation.type !== 'setData') throw new Error(`a register does not know ${operation.type}`)
  if (version === -1) return [version, 'NO_NODE']
  if (operation.version !== -1 && operation.version !== version) return [version, 'BAD_VERSION']
  return [operation.type === 'delete' ? -1 : version + 1, null]
}

/** Each register by itself, who joins the queue, and everything else in a part that the model lets pass. */
export function partition(input: Wish | ZnodeRequest): string {
  const wish = input as Wish
  if (wish.kind !== 'write' || wish.operation.type === 'multi') return ''
  const { path, type } = wish.operation
  if (type === 'create' && path.startsWith(QUEUE)) return QUEUE
  return (REGISTERS as readonly string[]).includes(path) ? path : ''
}
