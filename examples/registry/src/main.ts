/** `npm start`: three processes replicate a registry through the death of their leader; at the end, what was acknowledged is looked for in each of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Display, rowOf } from './display.ts'
import { Ensemble } from './ensemble.ts'
import { Feeder } from './feeder.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { lockFileSource, pipedSource, type Source } from './source.ts'

const LOCK_FILE = new URL('../../../package-lock.json', import.meta.url)
/** Between the new leader and the return of the old one. */
const AWAY_MS = 1000
const PHASE_MS = 15_000
/** A run on the lock file ends by then, cleaning up included, whatever happens: 30 s with the default settings. */
const RUN_MS = 21_000
const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const

interface Summary {
  acknowledged: number
  lost: number | null
  doubled: number | null
  leaderlessMs: number | null
  failoverMs: number | null
  digestsEqual: boolean
  /** What did not get in, and why is told above: lines that are no records, requests that were refused, outcomes that nobody knows. */
  rejected: number
  unknown: number
}

/** Polls: what is waited for happens in other processes. */
async function until(condition: () => boolean, what: string, ms: number = PHASE_MS): Promise<void> {
  const deadline = performance.now() + ms
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${ms / 1000} s`)
    await sleep(5)
  }
}

async function main(options: Options): Promise<boolean> {
  const summary: Summary = { acknowledged: 0, lost: null, doubled: null, leaderlessMs: null, failoverMs: null, digestsEqual: false, rejected: 0, unknown: 0 }
  let failure: Error | null = null
  let ensemble: Ensemble | null = null
  let feeder: Feeder | null = null
  let source: Source | null = null
  const display = new Display(() =>
    (ensemble?.ids ?? []).map((id) => rowOf(id, ensemble?.view(id) ?? null, feeder?.member === id, ensemble?.isRunning(id) === true ? 'running' : 'killed')),
  )
  const fail = (why: string): void => {
    failure ??= new Error(why)
  }
  const began = performance.now()
  let runMs = Number.POSITIVE_INFINITY
  const check = (): void => {
    if (failure !== null) throw failure
    if (performance.now() - began > runMs) throw new Error(`the run is not over after ${runMs / 1000} s`)
  }
  const wait = (condition: () => boolean, what: string, ms?: number): Promise<void> =>
    until(
      () => {
        check()
        return condition()
      },
      what,
      ms,
    )

  const end = async (): Promise<void> => {
    feeder?.stop()
    source?.close()
    display.stop()
    await ensemble?.close()
  }
  const stop = (code: number): void => {
    void end().finally(() => process.exit(code))
  }
  // A second signal while we clean up ends us at once.
  for (const [signal, code] of SIGNALS) process.once(signal, () => stop(code))
  // Nobody listens any more, as with `npm start | head`.
  process.stdout.on('error', () => {})
  process.stdout.once('error', () => stop(141))

  try {
    display.say('three processes on loopback, their files in a temporary folder')
    const piped = pipedSource((text) => display.say(text))
    ensemble = await Ensemble.start({
      onView: () => {},
      onSettled: (acknowledged, refused) => feeder?.settle(acknowledged, refused),
      onFailed: (id, why) => fail(`replica ${id}: ${why}`),
    })
    const members = ensemble
    display.start()
    await wait(() => members.ids.every((id) => members.isReady(id)) && members.leader !== null, 'a first leader, and three replicas that are ready')
    display.say(`replica ${members.leader} leads, ${Math.round(performance.now() - began)} ms after the start`)

    let feedingSince = Number.POSITIVE_INFINITY
    source = (await piped) ?? lockFileSource(LOCK_FILE, () => (performance.now() - feedingSince) / (options.seconds * 1000))
    const isPiped = source.isFinite
    if (!isPiped) runMs = RUN_MS + options.seconds * 1000
    const feeding = new Feeder(members, source, options.rate, ({ id, name }, { code, message, remedy }) =>
      display.say(`write ${id} (${name}) was not acknowledged: ${code}: ${message} ${remedy}`),
    )
    feeder = feeding
    const fed = members.ids.find((id) => id !== members.leader) ?? 0
    display.say(`feeding replica ${fed}, a follower, ${options.rate} writes a second: ${source.what}`)
    let isHalf = false
    feedingSince = performance.now()
    feeding.start(fed, options.seconds * 500, () => {
      isHalf = true
    })
    await wait(() => isHalf, 'half of the writes', isPiped ? Number.POSITIVE_INFINITY : PHASE_MS + options.seconds * 1000)

    await wait(() => members.leader !== null, 'a leader to kill')
    if (members.leader === feeding.member)
      await feeding.moveTo(members.ids.find((id) => id !== members.leader) ?? 0, (condition) => wait(condition, 'what is under way to settle'))
    const killed = members.leader ?? 0
    let acknowledgedAgain: number | null = null
    void feeding.nextAcknowledgement().then((at) => {
      acknowledgedAgain = at
    })
    const killedAt = performance.now()
    const gone = members.kill(killed)
    feeding.goOn()
    display.say(`killed replica ${killed}, the leader, with SIGKILL`)
    await gone
    await wait(() => members.leader !== null, 'a new leader')
    const leaderAt = performance.now()
    summary.leaderlessMs = Math.round(leaderAt - killedAt)
    display.say(`replica ${members.leader} leads, ${summary.leaderlessMs} ms after the kill`)
    await wait(() => acknowledgedAgain !== null || feeding.isDone, 'an acknowledgement after the kill')
    if (acknowledgedAgain !== null) summary.failoverMs = Math.round(acknowledgedAgain - killedAt)

    await sleep(AWAY_MS)
    members.startMember(killed)
    display.say(`started replica ${killed} again`)
    await wait(() => members.isReady(killed), `replica ${killed} to come back`)
    display.say(`replica ${killed} has caught up`)
    await wait(() => feeding.isDone, 'the rest of the writes', isPiped ? Number.POSITIVE_INFINITY : PHASE_MS + options.seconds * 1000)
    feeding.stop()

    const digests = await equalZxids(members, check)
    summary.digestsEqual = new Set(digests.map(({ digest }) => digest)).size === 1
    const audits = await Promise.all(members.ids.map((id) => members.audit(id, feeding.acknowledged)))
    check()
    summary.lost = Math.max(...audits.map(({ lost }) => lost))
    summary.doubled = Math.max(...audits.map(({ doubled }) => doubled))
    if (!audits.every(({ counterHolds }) => counterHolds)) fail("the state's counter and its ids disagree")
    display.stop()
    for (const [index, { digest, zxid }] of digests.entries()) display.say(`replica ${members.ids[index]}: digest ${digest} at ${zxid}`)
    check()
  } catch (error) {
    display.stop()
    display.say(`FAILED: ${error instanceof Error ? error.message : String(error)}`)
    failure = error instanceof Error ? error : new Error(String(error))
  } finally {
    summary.acknowledged = feeder?.acknowledgedCount ?? 0
    summary.unknown = feeder?.unknown ?? 0
    summary.rejected = (feeder?.refused ?? 0) + (source?.bad ?? 0)
    await end()
  }
  const holds = failure === null && summary.lost === 0 && summary.doubled === 0 && summary.digestsEqual && summary.rejected === 0 && summary.unknown === 0
  report(summary, holds)
  if (options.json) console.log(JSON.stringify(summary))
  return holds
}

/** All replicas' digests at one ZXID, the last. */
async function equalZxids(members: Ensemble, check: () => void): Promise<{ zxid: string; digest: string }[]> {
  const deadline = performance.now() + PHASE_MS
  for (;;) {
    check()
    const digests = await Promise.all(members.ids.map((id) => members.digest(id)))
    if (new Set(digests.map(({ zxid }) => zxid)).size === 1) return digests
    if (performance.now() > deadline) throw new Error(`the replicas did not come to one ZXID: ${digests.map(({ zxid }) => zxid).join(', ')}`)
    await sleep(20)
  }
}

function report({ acknowledged, lost, doubled, leaderlessMs, failoverMs, digestsEqual, rejected, unknown }: Summary, holds: boolean): void {
  const show = (value: number | null): string => (value === null ? 'not known' : value.toLocaleString('en'))
  console.log(`
  ${show(acknowledged)} writes acknowledged${rejected > 0 ? `, ${show(rejected)} not taken` : ''}${unknown > 0 ? `, ${show(unknown)} of unknown outcome` : ''}
  ${show(lost)} lost
  ${show(doubled)} doubled
  ${show(leaderlessMs)} ms without a leader
  ${show(failoverMs)} ms from the kill to the next acknowledged write
  digests of the three states: ${digestsEqual ? 'equal' : 'NOT equal'}
${holds ? '' : '\nThis is not how it should be.\n'}`)
}

try {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') process.stdout.write(USAGE)
  else process.exitCode = (await main(options)) ? 0 : 1
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
  process.exitCode = 2
}
