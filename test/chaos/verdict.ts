import { checkLinearizable, isWitness, listModel, type Model, registerModel } from '@antiphon/simulator'
import { type History, type Input, type Look, type Output, type Recorded, readOf } from './clients.ts'
import type { ChaosState } from './machine.ts'

const BUDGET = 1_000_000

export interface Verdict {
  /** Changes that were acknowledged and stand nowhere. */
  readonly lost: number
  /** Values that stand more than once. */
  readonly doubled: number
  /** Changes that stand although they were rejected, or nobody asked for them. */
  readonly phantoms: number
  /** Looks at one member that showed what never was, or less than the same life of it had shown before. */
  readonly wrongLooks: number
  /** In the order in which all changes stand, and for the simulator's checker. */
  readonly linearizable: boolean
  readonly findings: readonly string[]
}

/** Judges what clients were told, against the state that all members hold at the end. */
export function judge({ operations, looks, rejected }: History, state: ChaosState, ended: number): Verdict {
  const findings: string[] = []
  let lost = 0
  let doubled = 0
  /** Of each value, its place among those of its key. */
  const places = new Map<string, number>()
  for (const [key, values] of Object.entries(state)) {
    for (const [place, value] of values.entries()) {
      if (places.has(value)) {
        doubled++
        findings.push(`${value} stands twice (${key})`)
      }
      places.set(value, place)
    }
  }
  const asked = new Set(operations.flatMap(({ input }) => valueLeft(input) ?? []))
  let phantoms = 0
  for (const value of places.keys()) {
    if (asked.has(value)) continue
    phantoms++
    findings.push(`${value} stands, and ${rejected.has(value) ? 'was rejected' : 'nobody asked for it'}`)
  }
  const byKey = new Map<string, Recorded[]>(Object.keys(state).map((key) => [key, []]))
  for (const operation of operations) {
    const value = valueLeft(operation.input)
    if (value !== null && !places.has(value)) {
      // Values are never removed: what stands nowhere at the end never happened.
      if (operation.output === null && operation.returned === Number.POSITIVE_INFINITY) continue
      if (!mayBeRefused(operation)) {
        lost++
        findings.push(`${value} was acknowledged and is lost (${operation.key})`)
      }
    }
    const ofKey = byKey.get(operation.key)
    if (ofKey === undefined) byKey.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  let linearizable = true
  for (const [key, ofKey] of byKey) {
    const values = state[key] ?? []
    const all = [...ofKey, readOf(0, key, ended, ended, key.startsWith('l') ? values : (values.at(-1) ?? null))]
    const finding = judgeKey(key, all, places)
    if (finding === null) continue
    linearizable = false
    findings.push(finding)
  }
  const wrong = looks.flatMap((look) => judgeLook(look, state, places) ?? [])
  findings.push(...wrong)
  return { lost, doubled, phantoms, wrongLooks: wrong.length, linearizable, findings }
}

/** What is applied is committed: a look shows the beginning of the final state, and one life of a member never goes back. */
function judgeLook({ member, key, values, atLeast, acknowledged }: Look, state: ChaosState, places: ReadonlyMap<string, number>): string | null {
  const final = state[key] ?? []
  if (values.length > final.length || values.some((value, place) => final[place] !== value)) return `member ${member} showed of ${key} what does not stand`
  if (values.length < atLeast) return `member ${member} showed ${values.length} values of ${key}, after ${atLeast}`
  const place = acknowledged === null ? undefined : places.get(acknowledged)
  return place !== undefined && place >= values.length ? `member ${member} acknowledged ${acknowledged} and did not show it (${key})` : null
}

/** Null when the order of the final state, which is that of all changes, explains all that was told of `key`. */
function judgeKey(key: string, operations: readonly Recorded[], places: ReadonlyMap<string, number>): string | null {
  const model = (key.startsWith('l') ? listModel : registerModel) as Model<string, Input, Output>
  const guess = operations.map((operation) => placeOf(operation, places))
  if (isWitness(model, operations, guess)) return null
  const verdict = checkLinearizable(model, operations, BUDGET)
  if (verdict.kind !== 'violation')
    return `${key}: the order of the final state does not explain what was told of it; ${verdict.kind === 'linearizable' ? 'another would' : 'no other was found within the budget'}`
  return `no order explains what was told of ${key}; none of these fits:${verdict.stuck.map((i) => `\n  ${JSON.stringify(operations[i])}`).join('')}`
}

/** A read stands behind what it saw last; null: of a swap that changed nothing, anywhere. */
function placeOf(operation: Recorded, places: ReadonlyMap<string, number>): number | null {
  const value = valueLeft(operation.input)
  if (value !== null) return places.get(value) ?? null
  const { output } = operation
  const last = output === null ? null : 'items' in output ? (output.items.at(-1) ?? null) : 'value' in output ? output.value : null
  return (last === null ? -1 : (places.get(last) ?? -1)) + 0.5
}

/** Of a swap that took effect and whose answer nobody has, it may have been to leave all as it was. */
function mayBeRefused({ input, output }: Recorded): boolean {
  return output === null ? input.kind === 'swap' : 'done' in output && !output.done
}

/** What a change would leave behind; null of a read. */
function valueLeft(input: Input): string | null {
  return input.kind === 'read' ? null : input.kind === 'append' ? input.item : input.value
}
