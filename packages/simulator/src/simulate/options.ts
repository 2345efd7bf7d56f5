import { AntiphonError } from '@antiphon/ports'
import type { SimulateOptions } from './types.ts'

export type ResolvedOptions<Request, Result> = Required<Omit<SimulateOptions<Request, Result>, 'seeds' | 'model' | 'partition'>> &
  Pick<SimulateOptions<Request, Result>, 'model' | 'partition'> & { readonly seeds: readonly number[] }

const KNOWN = ['machine', 'workload', 'seeds', 'requests', 'findingsMax', 'model', 'partition']
const METHODS = ['encodeRequest', 'decodeRequest', 'encodeResult', 'decodeResult', 'apply', 'snapshot', 'restore']

/** @throws AntiphonError INVALID_ARGUMENT */
export function resolveOptions<Request, Result>(options: SimulateOptions<Request, Result>): ResolvedOptions<Request, Result> {
  if (typeof options !== 'object' || options === null) throw refuse('the options are not an object', 'Pass { machine, workload, seeds }.')
  for (const name of Object.keys(options))
    if (!KNOWN.includes(name)) throw refuse(`there is no option \`${name}\``, `Correct its name; the options are ${KNOWN.join(', ')}.`)
  const { machine, workload, seeds = 20, requests = 60, findingsMax = 1, model, partition } = options
  if (typeof machine !== 'function') throw refuse('`machine` is not a function', 'Pass a function that makes a machine: () => new MyMachine().')
  if (typeof workload !== 'function') throw refuse('`workload` is not a function', 'Pass a function that makes a request: (random) => ({ ... }).')
  if (partition !== undefined && typeof partition !== 'function')
    throw refuse('`partition` is not a function', 'Pass (request) => the key of its part, or leave it out.')
  if (model !== undefined && (typeof model !== 'object' || model === null || typeof model.step !== 'function' || typeof model.key !== 'function'))
    throw refuse('`model` lacks step or key', 'Pass { initial, step, key }, or leave it out.')
  expectMachines(machine)
  return {
    machine,
    workload,
    requests: positive('requests', requests),
    findingsMax: positive('findingsMax', findingsMax),
    seeds: Array.isArray(seeds) ? seeds.map((seed: unknown) => positive('seeds', seed)) : Array.from({ length: positive('seeds', seeds) }, (_, i) => i + 1),
    ...(model === undefined ? {} : { model }),
    ...(partition === undefined ? {} : { partition }),
  }
}

function expectMachines(make: () => unknown): void {
  const [one, other] = [make(), make()]
  const missing = METHODS.filter((method) => typeof (one as Record<string, unknown> | null | undefined)?.[method] !== 'function')
  if (missing.length > 0) throw refuse(`what \`machine\` makes lacks ${missing.join(', ')}`, 'Let it make a StateMachine.')
  if (one === other) throw refuse('`machine` gives the same machine twice', 'Let each call make another one: every replica has its own.')
}

function positive(name: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw refuse(`\`${name}\` must be a positive integer, not ${String(value)}`, `Correct \`${name}\`, or leave it out.`)
}

function refuse(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', message, { remedy })
}
