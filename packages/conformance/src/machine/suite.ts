import { CASE_TIMEOUT_MS, type Case, register, type TestRunner } from '../suite.ts'
import { replication } from './replication.ts'
import type { StateMachineSetup } from './setup.ts'
import { speculation } from './speculation.ts'

/** Everything that the contract of `StateMachine` demands and a suite can see, case by case. */
export function stateMachineCases<Request, Result>(setup: StateMachineSetup<Request, Result>): readonly Case[] {
  const cases: Case[] = []
  for (const part of [replication, speculation])
    part(setup, (name, skip, body) => cases.push({ name, skip, timeoutMs: CASE_TIMEOUT_MS, run: async () => body() }))
  return cases
}

/** A machine's whole test: `testStateMachine(test, { create, requests })`. */
export function testStateMachine<Request, Result>(test: TestRunner, setup: StateMachineSetup<Request, Result>): void {
  register(test, stateMachineCases(setup))
}
