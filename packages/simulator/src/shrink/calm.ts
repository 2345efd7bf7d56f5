import type { ClockSkew } from '../clock.ts'
import { calm } from '../network.ts'
import { AFTERMATH_CHANCE, type Profile } from '../profile.ts'

export const STILL: ClockSkew = { rate: 1, wallOffsetMs: 0, timerSlackMs: 0 }

/** An ensemble to which nothing happens, with one client and ordinary settings: what a shrunk run differs from in as little as possible. */
export function calmProfile(voters: number, observers: number): Profile {
  return {
    voters: Array.from({ length: voters }, () => ({ weight: 1, group: 0 })),
    observers,
    clients: 1,
    requests: 20,
    thinkMs: 50,
    timeoutMs: 3000,
    burst: 1,
    flood: 0,
    readShare: 0.3,
    keys: 1,
    paddingMax: 0,
    queueBytesMax: 65_536,
    tickMs: 100,
    counterMax: 0xffff_ffff,
    syncLimitTicks: 10,
    initLimitTicks: 30,
    snapshotEveryEntries: 100_000,
    snapshotEveryBytes: 0,
    retainSnapshots: 2,
    originWindow: 1024,
    resultsBytesMax: 4_194_304,
    retireOriginTicks: 6000,
    windowBytes: 1_048_576,
    recentBytes: 65_536,
    segmentBytes: 16_384,
    network: calm(),
    disk: { flushLow: 0.1, flushHigh: 0.5, slowChance: 0, slowMs: 0 },
    skews: Array.from({ length: voters + observers }, () => STILL),
    readLease: { ms: 0, driftPerMille: 0 },
    jumpers: [],
    faults: [],
    snapshotChunkBytes: 262_144,
    ballastLines: 0,
    breakChance: 0,
    troubleMsMax: 25_000,
    aftermathChance: AFTERMATH_CHANCE,
    digestEvery: 8,
  }
}
