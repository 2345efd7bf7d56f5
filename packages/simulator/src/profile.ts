import { type ClockSkew, DRIFT_PER_MILLE_MAX } from './clock.ts'
import { calm, type NetworkConditions } from './network.ts'
import type { SeededRandom } from './random.ts'

/** Everything that may go wrong. */
export const FAULT_KINDS = [
  'crash', // a process dies and comes back; what was not flushed is lost in part
  'crash-in-write', // the same in the middle of what a store does
  'crash-at-step', // the same behind a step of the core that matters
  'kill', // the process alone dies: the machine keeps what it had not flushed, and may die soon afterwards
  'crash-many', // several at once, all of them included
  'restart', // an orderly close and start
  'sever', // a connection breaks
  'flap', // one breaks again and again
  'cut-transfer', // one over which a snapshot comes breaks, or its sender dies
  'double-dial', // both sides dial: connections take each other's place
  'partition', // two groups that do not hear each other
  'isolate', // one member, the leader by preference, hears nobody
  'one-way', // a direction between two members, or everything that one member says
  'bridge', // two groups that share one member
  'ring', // each member hears its two neighbours alone; an open ring: those at the ends, one
  'black-hole', // connections come up and stay, and nothing that is said on them arrives
  'pause', // an event loop stands still
  'slow-member', // everything that happens on one takes its time
  'slow-disk', // flushes take long
  'hang-disk', // no flush ends
  'slow-network', // everything takes longer
  'slow-link', // single directions have little room
  'clock-jump', // somebody sets a wall clock
  'clock-drift', // clocks run too fast, or too slowly
  'flush-error', // a flush fails: what it should have made durable never will be, although it can be read
  'disk-error', // something else that a disk is asked fails, once
  'disk-full', // files cannot grow
  'rot', // a byte on the disk of a member that was closed in order has changed
  'rot-behind', // one on the disk of a member that runs, in a snapshot or before what its log was written last
  'misread', // a read gives what stands in another place, once
  'flip-bits', // frames arrive with a bit changed
  'wipe', // a member comes back with an empty disk; once in a run at most
  'swap-disks', // two members come back with each other's disk, for a while or for good
  'waver', // two groups that do not hear each other, and one voter that is torn from one to the other
  'corrupt-state', // a machine's state goes wrong, and nothing tells of it
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

export interface DiskConditions {
  flushLow: number
  flushHigh: number
  /** How often a flush takes up to `slowMs`. */
  slowChance: number
  slowMs: number
}

export interface FaultPlan {
  readonly kind: FaultKind
  /** Mean virtual milliseconds from one to the next. */
  readonly everyMs: number
  /** Longest duration of its effect. */
  readonly lastsMs: number
}

/** Everything that a seed decides before the run begins. */
export interface Profile {
  /** Each voter's weight and group: ones and zeros for a plain majority. */
  readonly voters: readonly { readonly weight: number; readonly group: number }[]
  readonly observers: number
  readonly clients: number
  /** Calls that the clients make together. */
  readonly requests: number
  /** Mean pause between two calls of a client. */
  readonly thinkMs: number
  readonly timeoutMs: number
  /** Above 0: half of the calls wait for room at their replica, so that its requests come to the leader one by one; and a settled ensemble is asked so much through every member at once. */
  readonly flood: number
  /** Calls that a client makes without waiting for the answers. */
  readonly burst: number
  readonly readShare: number
  readonly keys: number
  /** Largest filling of a request, bytes. */
  readonly paddingMax: number
  /** Of requests that wait at their origin, and at the leader. */
  readonly queueBytesMax: number
  readonly tickMs: number
  /** The counter at which a reign ends as planned. */
  readonly counterMax: number
  readonly syncLimitTicks: number
  readonly initLimitTicks: number
  readonly snapshotEveryEntries: number
  /** 0: never for their sake. */
  readonly snapshotEveryBytes: number
  readonly retainSnapshots: number
  /** Small ones, in runs with many transfers, cut a snapshot into many pieces: connections break in the middle of it. */
  readonly snapshotChunkBytes: number
  /** What a machine's snapshot holds besides its values, in lines of some 30 bytes. */
  readonly ballastLines: number
  /** How often a connection over which a chunk of a snapshot has come breaks right then; or its sender dies. */
  readonly breakChance: number
  readonly originWindow: number
  readonly digestEvery: number
  readonly windowBytes: number
  readonly recentBytes: number
  readonly segmentBytes: number
  readonly network: NetworkConditions
  readonly disk: DiskConditions
  readonly skews: readonly ClockSkew[]
  /** `ms` 0: without leases. The drift covers the skews. */
  readonly readLease: { readonly ms: number; readonly driftPerMille: number }
  /** The members whose clocks are set by `clock-jump`; none: anybody's. */
  readonly jumpers: readonly number[]
  readonly faults: readonly FaultPlan[]
  /** Of results that are kept for one origin. */
  readonly resultsBytesMax: number
  /** After so much silence a row is retired. */
  readonly retireOriginTicks: number
  /** The faults end then, whatever is left to ask. */
  readonly troubleMsMax: number
  /** How many settled ensembles are put to one more test. */
  readonly aftermathChance: number
}

/** How often clients ask for more than a leader takes. */
const FLOOD_CHANCE = 0.05

export type ProfileName = 'small' | 'swarm'

const SKEW_PER_MILLE_MAX = 20

export const AFTERMATH_CHANCE = 0.6

/** Who is away for long comes back behind the others' logs. */
const ABSENCES: readonly FaultPlan[] = [{ kind: 'crash', everyMs: 3000, lastsMs: 6000 }]

/** `small`: three voters, 200 requests, at most 60 virtual seconds. `swarm`: the seed draws the ensemble too. Each seed draws its own selection of faults: one that has few kinds shows other bugs than one that has all. */
export function drawProfile(name: ProfileName, random: SeededRandom): Profile {
  const small = name === 'small'
  const voters = drawVoters(
    small ? 3 : random.pick([1, 3, 3, 3, 3, 4, 5, 5, 7]),
    small ? 'majority' : random.pick(['majority', 'majority', 'majority', 'weights', 'groups']),
    random,
  )
  const observers = small ? 0 : random.pick([0, 0, 0, 0, 1, 1, 2, 3])
  const network = drawNetwork(random)
  const disk: DiskConditions = {
    flushLow: 0.1,
    flushHigh: random.pick([0.5, 3, 3, 20]),
    slowChance: random.pick([0, 0, 0.01, 0.05]),
    slowMs: random.pick([100, 600]),
  }
  const timerSlackMs = random.pick([0, 1, 10])
  const skewed = random.chance(0.5)
  // More than the leader has room for, from everywhere.
  const floods = !small && random.chance(FLOOD_CHANCE)
  const paddingMax = floods ? 500 : random.pick([0, 0, 100, 2000])
  const burst = floods ? 60 : random.pick(small ? [1, 1, 4, 12] : [1, 1, 4, 12, 60])
  const transfers = random.chance(small ? 0.15 : 0.4)
  const drawn: Omit<Profile, 'readLease' | 'jumpers' | 'snapshotEveryBytes'> = {
    voters,
    observers,
    clients: floods ? 6 : random.between(small ? 2 : 1, 6),
    requests: burst > 12 ? 800 : 200,
    thinkMs: floods ? 10 : random.pick(small ? [5, 15, 40] : [10, 50, 150]),
    timeoutMs: random.pick([300, 1000, 3000]),
    burst,
    flood: floods ? burst : 0,
    readShare: random.pick([0.1, 0.3, 0.6]),
    keys: random.pick([1, 3, 8]),
    paddingMax,
    queueBytesMax: floods ? paddingMax + 512 : random.pick([paddingMax + 512, 65_536]),
    tickMs: 100,
    counterMax: random.pick([25, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]),
    syncLimitTicks: random.pick([4, 10]),
    initLimitTicks: random.pick([12, 30]),
    snapshotEveryEntries: random.pick(transfers ? [10, 10, 30] : [10, 30, 100, 100_000]),
    retainSnapshots: random.pick(transfers ? [1, 2, 2] : [1, 2]),
    originWindow: random.pick([4, 64, 1024]),
    windowBytes: floods ? paddingMax + 1024 : random.pick([paddingMax + 1024, 8192, 65_536, 1_048_576]),
    recentBytes: random.pick([0, 2048, 65_536]),
    segmentBytes: random.pick(transfers ? [1024, 1024, 2048] : [1024, 2048, 16_384]),
    network,
    disk,
    skews: Array.from({ length: voters.length + observers }, () => ({
      rate: skewed ? 1 + random.between(-SKEW_PER_MILLE_MAX, SKEW_PER_MILLE_MAX) / 1000 : 1,
      wallOffsetMs: skewed ? random.between(-5000, 5000) : 0,
      timerSlackMs,
    })),
    faults: [...drawFaults(random), ...(transfers ? ABSENCES : [])],
    troubleMsMax: small ? 25_000 : 40_000,
    aftermathChance: small ? 0.15 : AFTERMATH_CHANCE,
    digestEvery: random.pick([4, 8, 8, 20]),
    snapshotChunkBytes: transfers ? random.pick([96, 96, 512]) : 262_144,
    ballastLines: transfers ? random.pick([20, 60]) : 0,
    breakChance: transfers ? random.pick([0.03, 0.05, 0.1, 0.2]) : 0,
    resultsBytesMax: random.pick([100, 4_194_304, 4_194_304]),
    retireOriginTicks: random.pick([2, 20, 6000, 6000]),
  }
  const rest = { readLease: drawLease(drawn, random), jumpers: random.chance(0.5) ? [random.between(1, voters.length)] : [] }
  const contested = !small && voters.length > 2 && random.chance(0.1)
  const snapshotEveryBytes = random.pick([0, 0, 4096, 20_000])
  return { ...drawn, ...rest, snapshotEveryBytes, ...(contested ? { ...CONTEST, network: { ...calm(), coalesceChance: 0 } } : {}) }
}

/** Nothing but a voter between two groups: what comes of that needs one thing after another in time, and any other trouble would disturb it. */
const CONTEST: Pick<Profile, 'faults' | 'requests' | 'thinkMs' | 'breakChance' | 'counterMax' | 'syncLimitTicks' | 'initLimitTicks' | 'disk'> = {
  faults: [{ kind: 'waver', everyMs: 800, lastsMs: 4000 }],
  requests: 800,
  thinkMs: 150,
  breakChance: 0,
  counterMax: 0xffff_ffff,
  syncLimitTicks: 4,
  initLimitTicks: 30,
  disk: { flushLow: 0.1, flushHigh: 3, slowChance: 0, slowMs: 0 },
}

/** Its drift covers what the clocks do, and often not more. */
function drawLease({ skews, faults }: Pick<Profile, 'skews' | 'faults'>, random: SeededRandom): Profile['readLease'] {
  const skewed = skews.some(({ rate }) => rate !== 1) ? 1 + SKEW_PER_MILLE_MAX / 1000 : 1
  const drifting = faults.some(({ kind }) => kind === 'clock-drift') ? 1 + DRIFT_PER_MILLE_MAX / 1000 : 1
  const ms = random.pick([200, 500, 1500])
  const driftPerMille = Math.ceil((skewed * drifting - 1) * 1000) + random.pick([0, 30])
  return random.chance(0.4) ? { ms, driftPerMille } : { ms: 0, driftPerMille: 0 }
}

function drawVoters(count: number, quorums: 'majority' | 'weights' | 'groups', random: SeededRandom): Profile['voters'] {
  return Array.from({ length: count }, (_, i) => ({
    weight: quorums === 'weights' && i > 0 ? random.between(0, 3) : 1,
    group: quorums === 'groups' ? i % 3 : 0,
  }))
}

function drawNetwork(random: SeededRandom): NetworkConditions {
  const network = calm()
  network.delayHigh = random.pick([1, 2, 10, 50])
  network.spikeChance = random.pick([0, 0, 0.01, 0.05])
  network.spikeMs = random.pick([20, 200, 600])
  network.coalesceChance = random.pick([0, 0.5, 0.9])
  network.noticeMs = random.pick([2, 50, 1500])
  network.redialHigh = random.pick([20, 100, 400])
  network.laneBytesMax = random.pick([16_384, 262_144, 4_194_304])
  return network
}

function drawFaults(random: SeededRandom): FaultPlan[] {
  const density = random.pick([0.1, 0.2, 0.35])
  const faults: FaultPlan[] = []
  for (const kind of FAULT_KINDS) {
    const plan = { kind, everyMs: random.pick([800, 2000, 5000]), lastsMs: random.pick([300, 1500, 4000]) }
    if (random.chance(density)) faults.push(plan)
  }
  return faults
}
