import { afterEach, describe, expect, test, vi } from 'vitest'
import { SimDisk } from '../disk.ts'
import { type RunResult, runSeed } from '../simulation.ts'
import { calmProfile } from './calm.ts'
import { formatScript, parseScript, type Script } from './script.ts'
import { shrink } from './shrink.ts'
import { varied } from './vary.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Disks that say that they have flushed, and have not. */
function lie(): void {
  vi.spyOn(SimDisk.prototype, 'sync').mockImplementation(() => undefined)
}

/** One that is long enough to be cut. */
async function firstFailure(): Promise<RunResult> {
  for (let seed = 1; seed <= 50; seed++) {
    const result = await runSeed({ seed })
    if (result.violation !== null && result.faults.length > 2 && result.steps > 3000) return result
  }
  throw new Error('nobody notices that the disks lie')
}

describe('a failing run', () => {
  test('becomes a short script that breaks the same, the same way every time, and only while the bug is there', async () => {
    lie()
    const failed = await firstFailure()
    const shrunk = (await shrink(failed, { runs: 60 }))!
    expect(shrunk.steps).toBeLessThan(failed.steps)
    expect(shrunk.script.faults.length).toBeLessThan(failed.faults.length)
    expect(shrunk.script.invariant).toBe(failed.violation!.invariant)
    expect(await shrink(failed, { runs: 60 })).toEqual(shrunk)

    const told = parseScript(formatScript(shrunk.script))
    const again = await runSeed({ seed: told.seed, script: told })
    expect([again.violation?.invariant, again.steps]).toEqual([shrunk.script.invariant, shrunk.steps])
    vi.restoreAllMocks()
    expect((await runSeed({ seed: told.seed, script: told })).violation).toBeNull()
  }, 120_000)

  test('is cut as far as the bounds allow', async () => {
    lie()
    const failed = await firstFailure()
    const little = (await shrink(failed, { runs: 5 }))!
    expect(little).toMatchObject({ runs: 5, complete: false })
    const none = (await shrink(failed, { runs: 100, goOn: () => false }))!
    expect(none).toMatchObject({ runs: 1, complete: false, steps: failed.steps })
    expect(none.script.faults).toEqual(failed.faults)
  })

  test('that does not fail again is not cut', async () => {
    lie()
    const failed = await firstFailure()
    vi.restoreAllMocks()
    expect(await shrink(failed, { runs: 100 })).toBeNull()
  })
})

const SCRIPT: Script = {
  seed: 17,
  invariant: 'durability',
  found: 'member 1 commits 1.2, which no quorum holds durably',
  bugs: ['17', '12a'],
  story: ['A leader acknowledges', 'before its own disk does.'],
  profile: {
    ...calmProfile(2, 1),
    clients: 3,
    voters: [
      { weight: 1, group: 0 },
      { weight: 3, group: 1 },
    ],
    network: { ...calmProfile(2, 1).network, delayHigh: 50 },
  },
  faults: [
    { at: 12.345, kind: 'crash', lastsMs: 100.5, victim: 2 as never, draw: 4_000_000_000 },
    { at: 800, kind: 'partition', lastsMs: 20, victim: null, draw: 0 },
  ],
}
const TEXT = `# A leader acknowledges
# before its own disk does.
seed 17
members 2 voters, 1 observers
expected durability: what was committed or acknowledged is and stays in a quorum's durable histories
found member 1 commits 1.2, which no quorum holds durably
bugs 17, 12a
with voters [{"weight":1,"group":0},{"weight":3,"group":1}]
with clients 3
with network.delayHigh 50
12.345 crash of member 2, 100.5 ms, draw 4000000000
800 partition, 20 ms, draw 0
`

describe('a script', () => {
  test('is text: what differs from a calm run, and one fault a line', () => {
    expect(formatScript(SCRIPT)).toBe(TEXT)
    expect(parseScript(TEXT)).toEqual(SCRIPT)
  })

  test('is tried in other ways: its faults are moved by up to a bound and decide other things, the same for the same seed', () => {
    const draws = new Set<number>()
    for (let seed = 1; seed <= 50; seed++) {
      const { profile, faults } = varied(SCRIPT, 100, seed)
      expect(varied(SCRIPT, 100, seed).faults).toEqual(faults)
      expect(profile).toEqual(SCRIPT.profile)
      expect(faults.map(({ kind, lastsMs, victim }) => ({ kind, lastsMs, victim }))).toEqual(
        SCRIPT.faults.map(({ kind, lastsMs, victim }) => ({ kind, lastsMs, victim })),
      )
      faults.forEach(({ at, draw }, i) => {
        expect(at).toBeGreaterThanOrEqual(Math.max(0, SCRIPT.faults[i]!.at - 100))
        expect(at).toBeLessThanOrEqual(SCRIPT.faults[i]!.at + 100)
        draws.add(draw)
      })
    }
    expect(draws.size).toBe(100)
    const late = varied(SCRIPT, 2000, 3).faults.map(({ at }) => at)
    expect(late).toEqual([...late].sort((a, b) => a - b))
  })

  test('that cannot be read names the line', () => {
    const bad: readonly (readonly [string, string, RegExp])[] = [
      ['seed 17', 'seed x', /no line "seed N"/],
      ['seed 17', 'seed 17\nseed 18', /line 4: "seed" is unknown or told twice/],
      ['2 voters', '0 voters', /members N voters/],
      ['2 voters', '99 voters', /16 at most/],
      ['2 voters', '3 voters', /more or fewer/],
      ['expected durability', 'expected luck', /expected INVARIANT/],
      ['with clients 3', 'with clients "3"', /line 9: "3" is no value of clients/],
      ['with clients 3', 'with clients {', /no JSON/],
      ['with clients 3', 'with __proto__ 3', /a profile has no __proto__/],
      ['with clients 3', 'with network.toString 3', /a profile has no network.toString/],
      ['"group":1', '"group":null', /no value of voters/],
      ['crash of', 'crush of', /line 11: there is no fault "crush"/],
      ['of member 2', 'of member 0', /there is no member 0/],
      ['100.5 ms', '1.0.5 ms', /a number cannot be read/],
      ['800 partition', '800', /line 12: it is no fault/],
      ['seed 17', 'sheep 17', /"sheep" is unknown/],
      ['seed 17', `# ${'x'.repeat(1 << 20)}`, /longer than/],
    ]
    for (const [text, instead, why] of bad) {
      expect(TEXT).toContain(text)
      expect(() => parseScript(TEXT.replace(text, instead)), instead.slice(0, 40)).toThrow(why)
    }
    expect(() => parseScript('')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', outcome: 'rejected' }))
  })
})
