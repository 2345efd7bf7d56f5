import { CASE_TIMEOUT_MS, type Case, register, type TestRunner } from '../suite.ts'
import { endings } from './endings.ts'
import { log } from './log.ts'
import { media } from './media.ts'
import { Bench, type LogStoreSetup, type StoreNeed } from './setup.ts'
import { snapshots } from './snapshots.ts'
import { staging } from './staging.ts'

/** Everything that the contract of `LogStore` demands, case by case. */
export function logStoreCases(setup: LogStoreSetup): readonly Case[] {
  const { durable } = setup.supports
  const lacking: Record<StoreNeed, string | null> = {
    always: null,
    reopens: (setup.reopens ?? durable) ? null : 'the store does not outlive its process',
    exclusive: (setup.exclusive ?? durable) ? null : 'the store owns nothing that two could share',
    crashes: setup.crashes === true ? null : 'the set-up pulls no plug',
    breaks: setup.breaks === true ? null : 'the set-up breaks no flush',
    recorded: setup.recorded === undefined ? 'the set-up records no disk' : null,
    damages: setup.damages === undefined && setup.recorded === undefined ? 'the set-up gives no access to what a store has left' : null,
  }
  const cases: Case[] = []
  for (const part of [log, snapshots, staging, endings]) {
    part((name, need, body) => cases.push({ name, skip: lacking[need], timeoutMs: CASE_TIMEOUT_MS, run: () => Bench.use(setup, body) }))
  }
  media((name, need, body, timeoutMs = CASE_TIMEOUT_MS) => cases.push({ name, skip: lacking[need], timeoutMs, run: () => body(setup) }))
  return cases
}

/** An adapter's whole test: `testLogStore(test, { supports, place })`. */
export function testLogStore(test: TestRunner, setup: LogStoreSetup): void {
  register(test, logStoreCases(setup))
}
