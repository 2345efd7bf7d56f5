/**
 * Is there one order of these operations, each somewhere between its call and its return, that a sequential object could have shown? The search of Wing and Gong with Lowe's
 * cache of visited configurations ("Testing for linearizability", 2017), on each part of a history by itself: linearizability is a local property, so parts that share no state (keys) are judged alone.
 */
export interface Operation<Input, Output> {
  readonly client: number
  /** Time of the call. */
  readonly invoked: number
  /** Time of the return; `Infinity` when nobody knows whether it happened: it may take effect at any time after its call, or never. */
  readonly returned: number
  readonly input: Input
  /** Null when unknown: any answer fits. */
  readonly output: Output | null
}

/** A sequential specification. States are values, never null: `step` never changes one. */
export interface Model<State extends string | number | object, Input, Output> {
  readonly initial: State
  /** The state after `input` if it may answer `output` in `state`; null if it may not. */
  step(state: State, input: Input, output: Output | null): State | null
  /** Equal keys mean equal states. */
  key(state: State): string
}

export type Verdict =
  | { readonly kind: 'linearizable' }
  /** The operations that nothing could be made of, the longest order that was found first. */
  | { readonly kind: 'violation'; readonly longest: readonly number[]; readonly stuck: readonly number[] }
  /** The budget was spent first. */
  | { readonly kind: 'undecided' }

interface Node {
  readonly operation: number
  readonly time: number
  /** The node of the return, at the call's; null at a return. */
  match: Node | null
  previous: Node
  next: Node | null
}

/** Configurations looked at before giving up. */
export const BUDGET = 100_000

/** Judges one part of a history. */
export function checkLinearizable<State extends string | number | object, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  budget: number = BUDGET,
): Verdict {
  const head = link(operations)
  const done = new Uint32Array(Math.ceil(operations.length / 32))
  const seen = new Set<string>()
  const taken: { readonly node: Node; readonly state: State }[] = []
  let longest: number[] = []
  let open = operations.filter((operation) => operation.returned !== Number.POSITIVE_INFINITY).length
  let state = model.initial
  let node = head.next
  let left = budget
  while (open > 0) {
    if (node === null || node.match === null) {
      // A return (or the end) is reached and its call has not been placed: what was placed last must stand elsewhere.
      if (taken.length > longest.length) longest = taken.map((step) => step.node.operation)
      const last = taken.pop()
      if (last === undefined) return { kind: 'violation', longest, stuck: stuck(operations, longest) }
      state = last.state
      setBit(done, last.node.operation, false)
      if (operations[last.node.operation]!.returned !== Number.POSITIVE_INFINITY) open++
      unlift(last.node)
      node = last.node.next
      continue
    }
    const operation = operations[node.operation]!
    const after = model.step(state, operation.input, operation.output)
    if (after !== null) {
      setBit(done, node.operation, true)
      const configuration = `${done.join(',')}|${model.key(after)}`
      if (!seen.has(configuration)) {
        if (left-- === 0) return { kind: 'undecided' }
        seen.add(configuration)
        taken.push({ node, state })
        state = after
        if (operation.returned !== Number.POSITIVE_INFINITY) open--
        lift(node)
        node = head.next
        continue
      }
      setBit(done, node.operation, false)
    }
    node = node.next
  }
  return { kind: 'linearizable' }
}

/**
 * Do the operations, taken in the order of `places`, prove by themselves that the history is linearizable? A guess that is checked, in linear time; `false` proves nothing. An operation without a place
 * must be one that changes no state: it is put wherever it first fits.
 */
export function isWitness<State extends string | number | object, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  places: readonly (number | null)[],
): boolean {
  const byPlace = (a: number, b: number): number => places[a]! - places[b]! || operations[a]!.invoked - operations[b]!.invoked
  const placed: number[] = []
  const floating = new Set<number>()
  for (let i = 0; i < operations.length; i++) {
    if (places[i] === null) floating.add(i)
    else placed.push(i)
  }
  placed.sort(byPlace)
  // Behind position `i`, whoever returns first: nobody may be called after that and stand before it.
  const firstReturn: number[] = new Array<number>(placed.length + 1).fill(Number.POSITIVE_INFINITY)
  for (let at = placed.length - 1; at >= 0; at--) firstReturn[at] = Math.min(firstReturn[at + 1]!, operations[placed[at]!]!.returned)
  let state = model.initial
  for (let at = 0; at <= placed.length; at++) {
    for (const i of floating) {
      const { invoked, input, output } = operations[i]!
      if (invoked <= firstReturn[at]! && model.step(state, input, output) === state) floating.delete(i)
    }
    if (at === placed.length) break
    const { invoked, input, output } = operations[placed[at]!]!
    if (invoked > firstReturn[at + 1]!) return false
    for (const i of floating) if (operations[i]!.returned < invoked) return false
    const after = model.step(state, input, output)
    if (after === null) return false
    state = after
  }
  return floating.size === 0
}

/** Calls and returns in the order of time; a call stands before a return of the same instant, so that such a pair counts as concurrent. Unknown returns stand at the end. */
function link(operations: readonly Operation<unknown, unknown>[]): Node {
  const nodes: Node[] = []
  const nowhere = null as unknown as Node
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i]!
    if (operation.returned < operation.invoked) throw new RangeError(`operation ${i} returned before it was called`)
    const back: Node = { operation: i, time: operation.returned, match: null, previous: nowhere, next: null }
    nodes.push({ operation: i, time: operation.invoked, match: back, previous: nowhere, next: null }, back)
  }
  nodes.sort((a, b) => (a.time === b.time ? (a.match === null ? 1 : 0) - (b.match === null ? 1 : 0) : a.time < b.time ? -1 : 1))
  const head: Node = { operation: -1, time: Number.NEGATIVE_INFINITY, match: null, previous: nowhere, next: null }
  let last = head
  for (const node of nodes) {
    last.next = node
    node.previous = last
    last = node
  }
  return head
}

function lift(call: Node): void {
  remove(call)
  remove(call.match!)
}

function unlift(call: Node): void {
  restore(call.match!)
  restore(call)
}

function remove(node: Node): void {
  node.previous.next = node.next
  if (node.next !== null) node.next.previous = node.previous
}

function restore(node: Node): void {
  node.previous.next = node
  if (node.next !== null) node.next.previous = node
}

function setBit(bits: Uint32Array, at: number, on: boolean): void {
  const mask = 1 << (at & 31)
  if (on) bits[at >> 5]! |= mask
  else bits[at >> 5]! &= ~mask
}

function stuck(operations: readonly Operation<unknown, unknown>[], longest: readonly number[]): number[] {
  const placed = new Set(longest)
  let firstReturn = Number.POSITIVE_INFINITY
  operations.forEach((operation, i) => {
    if (!placed.has(i)) firstReturn = Math.min(firstReturn, operation.returned)
  })
  return operations.flatMap((operation, i) => (!placed.has(i) && operation.invoked <= firstReturn ? [i] : []))
}

// The objects that the simulation's machine is made of.

export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: string }
  | { readonly kind: 'swap'; readonly expected: string | null; readonly value: string }
/** Of a read: the value; of a swap: whether it took place; of a write: true. */
export type RegisterOutput = { readonly value: string | null } | { readonly done: boolean }

/** A state is '' for an absent value, else the value behind an equals sign. */
export const registerModel: Model<string, RegisterInput, RegisterOutput> = {
  initial: '',
  key: (state) => state,
  step(state, input, output) {
    if (input.kind === 'read') return output === null || ('value' in output && present(output.value) === state) ? state : null
    if (input.kind === 'write') return present(input.value)
    const fits = state === present(input.expected)
    if (output !== null && 'done' in output && output.done !== fits) return null
    return fits ? present(input.value) : state
  },
}

function present(value: string | null): string {
  return value === null ? '' : `=${value}`
}

export type CounterInput = { readonly kind: 'read' } | { readonly kind: 'add'; readonly by: number }
/** The value, of an addition: behind it. */
export interface CounterOutput {
  readonly value: number
}

export const counterModel: Model<number, CounterInput, CounterOutput> = {
  initial: 0,
  key: String,
  step(state, input, output) {
    const after = input.kind === 'add' ? state + input.by : state
    return output === null || output.value === after ? after : null
  },
}

export type ListInput = { readonly kind: 'read' } | { readonly kind: 'append'; readonly item: string }
/** Of a read: all items; of an append: how many there are behind it. */
export type ListOutput = { readonly items: readonly string[] } | { readonly length: number }

/** A state is its items, each behind a comma: cheap to compare and to key. `length` counts the commas. */
export const listModel: Model<string, ListInput, ListOutput> = {
  initial: '',
  key: (state) => state,
  step(state, input, output) {
    if (input.kind === 'read') return output === null || ('items' in output && output.items.map((item) => `,${item}`).join('') === state) ? state : null
    const after = `${state},${input.item}`
    if (output !== null && 'length' in output && output.length !== after.split(',').length - 1) return null
    return after
  },
}
