import { CASE_TIMEOUT_MS, type Case, register, type TestRunner } from '../suite.ts'
import { connections } from './connections.ts'
import { endurance } from './endurance.ts'
import { frames } from './frames.ts'
import { type TransportNeed, type TransportSetup, Wires } from './setup.ts'

/** Everything that the contract of `Transport` demands, case by case. */
export function transportCases(setup: TransportSetup): readonly Case[] {
  const lacking: Record<TransportNeed, string | null> = {
    always: null,
    severs: setup.severs === true ? null : 'the set-up breaks no connection',
    vanishes: setup.vanishes === true ? null : 'the set-up makes no process vanish',
    strangers: setup.strangers === true ? null : 'no stranger can reach this transport',
  }
  const cases: Case[] = []
  for (const part of [frames, connections, endurance])
    part((name, need, body, timeoutMs = CASE_TIMEOUT_MS) => cases.push({ name, skip: lacking[need], timeoutMs, run: () => use(setup, body) }))
  return cases
}

async function use(setup: TransportSetup, body: (wires: Wires) => Promise<void>): Promise<void> {
  const wires = new Wires(await setup.network(), setup)
  try {
    await body(wires)
  } catch (error) {
    await wires.end().catch(() => {})
    throw error
  }
  await wires.end()
}

/** An adapter's whole test: `testTransport(test, { network })`. */
export function testTransport(test: TestRunner, setup: TransportSetup): void {
  register(test, transportCases(setup))
}
