import { formatZxid, ZERO, type Zxid } from '@antiphon/ports'
import type { Ledger } from './ledger.ts'
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
  type Verdict,
} from './linearizability.ts'
import { itemsOf, type KeyedRequest, type KeyedValue } from './machine.ts'
import { Violation } from './violation.ts'

/** What a client did, and what it was told. */
export interface Call {
  readonly id: number
  readonly client: number
  readonly member: number
  readonly kind: KeyedRequest['kind'] | 'read'
  readonly key: string
  readonly expected: string | null
  readonly value: string
  readonly invoked: number
  returned: number
  /** `refused`: the machine said no, at a place in the order. `applied`: only its result was not told. `unknown` as well when nobody was there to hear the answer. */
  outcome: 'pending' | 'ok' | 'refused' | 'rejected' | 'applied' | 'unknown'
  /** Of a write: its place. Of a read: the last change in the state that it saw. */
  zxid: Zxid | null
  amount: number | null
  seen: { readonly text: string | null; readonly amount: number; readonly items: readonly string[] } | null
  /** A read of a state that had gone wrong and was not found out yet: what it saw is not judged. */
  suspect: boolean
  /** The highest place that anybody had been told of before this call. */
  readonly floor: Zxid
}

export type CallStart = Pick<Call, 'client' | 'member' | 'kind' | 'key' | 'expected' | 'value'>

/** Everything that clients did in a run. Linearizable reads and all writes; local reads are judged where they happen. */
export class History {
  readonly calls: Call[] = []
  /** The highest place of a write that was acknowledged, or that a linearizable read has seen. */
  #told: Zxid = ZERO
  acknowledged = 0

  begin(now: number, start: CallStart): Call {
    const { client, member, kind, key, expected, value } = start
    const call: Call = {
      client,
      member,
      kind,
      key,
      expected,
      value,
      id: this.calls.length + 1,
      invoked: now,
      returned: Number.POSITIVE_INFINITY,
      outcome: 'pending',
      zxid: null,
      amount: null,
      seen: null,
      suspect: false,
      floor: this.#told,
    }
    this.calls.push(call)
    return call
  }

  /** A write was acknowledged at `zxid`. @throws Violation when it stands before what was told before its call. */
  written(now: number, call: Call, zxid: Zxid, amount: number | null): void {
    call.returned = now
    call.outcome = 'ok'
    call.zxid = zxid
    call.amount = amount
    this.acknowledged++
    if (zxid <= call.floor)
      throw new Violation('linearizability', `${tell(call)} stands at ${formatZxid(zxid)}, but ${formatZxid(call.floor)} had been told before it was called`)
    if (zxid > this.#told) this.#told = zxid
  }

  /** A linearizable read saw `value` in the state as of `zxid`. @throws Violation */
  read(now: number, call: Call, zxid: Zxid, value: KeyedValue): void {
    call.returned = now
    call.outcome = 'ok'
    call.zxid = zxid
    call.seen = { text: value.version === 0 ? null : value.text, amount: value.amount, items: itemsOf(value) }
    if (zxid < call.floor)
      throw new Violation(
        'linearizability',
        `${tell(call)} saw the state as of ${formatZxid(zxid)}, but ${formatZxid(call.floor)} had been told before it was called`,
      )
    if (zxid > this.#told) this.#told = zxid
  }

  ended(now: number, call: Call, outcome: 'refused' | 'rejected' | 'applied' | 'unknown'): void {
    call.returned = now
    call.outcome = outcome
  }

  /** The judgement over the whole run, against the one order. Nothing is under way any more. @throws Violation */
  judge(ledger: Ledger): { readonly undecided: number } {
    for (const call of this.calls) {
      if (call.kind === 'read') continue
      const zxid = ledger.zxidOf(call.id)
      if ((call.outcome === 'ok' || call.outcome === 'applied') && zxid === undefined)
        throw new Violation('lost', `${tell(call)} was acknowledged and is nowhere`)
      if (call.outcome === 'ok' && zxid !== call.zxid)
        throw new Violation('agreement', `${tell(call)} was acknowledged at ${formatZxid(call.zxid!)} and stands at ${formatZxid(zxid!)}`)
      if ((call.outcome === 'rejected' || call.outcome === 'refused') && zxid !== undefined)
        throw new Violation('rejected', `${tell(call)} was ${call.outcome} and stands at ${formatZxid(zxid)}`)
      if (zxid !== undefined && zxid <= call.floor)
        throw new Violation('linearizability', `${tell(call)} stands at ${formatZxid(zxid)}, but ${formatZxid(call.floor)} had been told before it was called`)
    }
    let undecided = 0
    for (const [key, calls] of this.#byKey(ledger)) {
      // A read stands behind the change that it saw last.
      const places = calls.map((call) => (call.kind === 'read' ? call.zxid! + 0.5 : (ledger.zxidOf(call.id) ?? null)))
      const verdict = judgeKey(key, calls, places)
      if (verdict.kind === 'undecided') undecided++
      if (verdict.kind === 'violation') {
        const lines = verdict.stuck.map((i) => `  ${tell(calls[i]!)}`)
        throw new Violation(
          'linearizability',
          `no order of the calls on ${key} explains what was seen; behind the first ${verdict.longest.length} none of these fits:\n${lines.join('\n')}`,
        )
      }
    }
    return { undecided }
  }

  /** What cannot have had an effect is left out: failed reads, rejected writes, and writes of unknown outcome that are not in the order. */
  #byKey(ledger: Ledger): Map<string, Call[]> {
    const byKey = new Map<string, Call[]>()
    for (const call of this.calls) {
      if (call.outcome === 'rejected' || call.suspect) continue
      if (call.outcome !== 'ok' && call.outcome !== 'refused' && call.outcome !== 'applied' && (call.kind === 'read' || ledger.zxidOf(call.id) === undefined))
        continue
      const calls = byKey.get(call.key)
      if (calls === undefined) byKey.set(call.key, [call])
      else calls.push(call)
    }
    return byKey
  }
}

/** A key's first letter says what it holds: `r`egister, `c`ounter or `l`ist. */
function judgeKey(key: string, calls: readonly Call[], places: readonly (number | null)[]): Verdict {
  switch (key[0]) {
    case 'r':
      return judgeCalls(registerModel, calls, places, registerInput, registerOutput)
    case 'c':
      return judgeCalls(
        counterModel,
        calls,
        places,
        counterInput,
        (call): CounterOutput => ({ value: call.kind === 'read' ? call.seen!.amount : call.amount! }),
      )
    default:
      return judgeCalls(
        listModel,
        calls,
        places,
        listInput,
        (call): ListOutput => (call.kind === 'read' ? { items: call.seen!.items } : { length: call.amount! }),
      )
  }
}

function judgeCalls<State extends string | number | object, Input, Output>(
  model: Model<State, Input, Output>,
  calls: readonly Call[],
  places: readonly (number | null)[],
  input: (call: Call) => Input,
  output: (call: Call) => Output,
): Verdict {
  const operations = calls.map((call): Operation<Input, Output> => {
    const known = call.outcome === 'ok' || call.outcome === 'refused'
    return {
      client: call.client,
      invoked: call.invoked,
      returned: known || call.outcome === 'applied' ? call.returned : Number.POSITIVE_INFINITY,
      input: input(call),
      output: known ? output(call) : null,
    }
  })
  return isWitness(model, operations, places) ? { kind: 'linearizable' } : checkLinearizable(model, operations)
}

function registerInput(call: Call): RegisterInput {
  if (call.kind === 'read') return { kind: 'read' }
  return call.kind === 'swap' ? { kind: 'swap', expected: call.expected, value: call.value } : { kind: 'write', value: call.value }
}

function registerOutput(call: Call): RegisterOutput {
  return call.kind === 'read' ? { value: call.seen!.text } : { done: call.outcome === 'ok' }
}

function counterInput(call: Call): CounterInput {
  return call.kind === 'read' ? { kind: 'read' } : { kind: 'add', by: Number(call.value) }
}

function listInput(call: Call): ListInput {
  return call.kind === 'read' ? { kind: 'read' } : { kind: 'append', item: call.value }
}

/** One line for people. */
export function tell(call: Call): string {
  const { id, client, member, kind, key, invoked, returned, outcome } = call
  const end = returned === Number.POSITIVE_INFINITY ? '...' : returned.toFixed(3)
  const asked = kind === 'read' ? key : `${key} ${call.expected === null ? '' : `${call.expected} -> `}${call.value}`
  const seen = call.seen === null ? '' : ` saw ${key[0] === 'r' ? call.seen.text : key[0] === 'c' ? call.seen.amount : `[${call.seen.items.join(' ')}]`}`
  return `call ${id} (client ${client} on member ${member}, ${invoked.toFixed(3)} to ${end}): ${kind} ${asked} ${outcome}${seen}`
}
