import type { Mutant } from './mutants.ts'

const CORE = 'packages/consensus-core/src'
const SHELL = 'packages/replica/src'

const RECOVERY = 'packages/storage-file/src/engine/recovery.ts'

/** Where a log ends. A bug of our own: seed 34 found it. */
const RULE_2: readonly Mutant[] = [
  {
    bug: '2a',
    rule: 2,
    name: 'what is taken for torn, and what is copied, is read once: a reading that went wrong cuts off what was durable',
    patches: [
      { file: RECOVERY, text: '      this.#assertSame(segment, scan, new FileReader(this.#disk, file.file!))\n', replacement: '' },
      { file: RECOVERY, text: '      this.#assertSame(segment, { end: segment.end, lastBatch: this.#log.lastBatch }, copied)\n', replacement: '' },
    ],
  },
]

/** Change of epoch in place. */
const RULE_12: readonly Mutant[] = [
  {
    bug: '12a',
    rule: 12,
    name: 'the next epoch proposes before everything that was proposed is committed and applied',
    patches: [
      { file: `${CORE}/leader/epoch-change.ts`, text: '  if (state.committed < last || state.applied < last) return\n', replacement: '' },
      {
        file: `${CORE}/leader/discovery.ts`,
        text: '  role.initialLast = state.history.last\n',
        replacement: '  if (role.initialLast === ZERO) role.initialLast = state.history.last\n',
      },
      {
        file: `${CORE}/leader/epoch-change.ts`,
        text: '  role.since = now.monotonic\n',
        replacement: '  role.since = now.monotonic\n  role.initialLast = state.applied\n',
      },
    ],
  },
  {
    bug: '12b',
    rule: 12,
    name: "in place the leader's current epoch is written before a quorum of ACK-E: those of the epoch before are taken for it",
    patches: [
      {
        file: `${CORE}/leader/follower-progress.ts`,
        text: 'epoch: learner.epoch, heardAt: learner.heardAt })',
        replacement: 'epoch: learner.epoch, heardAt: learner.heardAt, ackEpoch: learner.ackEpoch })',
      },
    ],
  },
  {
    bug: '12c',
    rule: 12,
    name: 'a follower that is asked in the active phase answers before its promise is durable',
    patches: [
      {
        file: `${CORE}/follower/discovery.ts`,
        text: "  if (role.phase === 'active' && epoch > role.epoch) endEpoch(step, role)\n  else if",
        replacement:
          "  if (role.phase === 'active' && epoch > role.epoch) {\n    endEpoch(step, role)\n    if (role.counted) step.send(role.leader, ackEpochOf(step, epoch))\n  } else if",
      },
    ],
  },
  {
    bug: '12d',
    rule: 12,
    name: 'those that count nowhere are not taken along into the next epoch',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: 'if (learner.epoch !== 0 && learner.epoch !== role.epoch) renewLearner',
        replacement: 'if (learner.epoch < 0) renewLearner',
      },
    ],
  },
  {
    bug: '12e',
    rule: 12,
    name: 'what origins had sent to the epoch before, and what was not admitted there, is not sent again to the same leader',
    patches: [
      {
        file: `${SHELL}/shell.ts`,
        text: '    this.#forwarding.onLeader()\n',
        replacement: "    if (role.role === 'leading' || this.#served !== role.leader) this.#forwarding.onLeader()\n    this.#served = role.leader\n",
      },
      { file: `${SHELL}/shell.ts`, text: '  #stepping = false\n', replacement: '  #stepping = false\n  #served: PeerId | null = null\n' },
    ],
  },
]

/** Transfers that are resumed, staged generations. */
const RULE_14: readonly Mutant[] = [
  {
    bug: '14a',
    rule: 14,
    name: 'a transfer goes on without comparing what its receiver has: the head of one snapshot, the rest of another',
    patches: [
      { file: `${SHELL}/sending.ts`, text: 'this.#open(resume.zxid, ', replacement: 'this.#open(undefined, ' },
      {
        file: `${SHELL}/sending.ts`,
        text: '    if (snapshot.meta.zxid !== resume.zxid || snapshot.meta.checksum !== resume.checksum) return null\n',
        replacement: '',
      },
      { file: `${SHELL}/sending.ts`, text: 'return digest === resume.digest ?', replacement: 'return digest >= 0 ?' },
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: 'if (kept === null || kept.meta.zxid !== meta.zxid || kept.meta.checksum !== meta.checksum || kept.chunks !== chunks || kept.digest !== digest) {',
        replacement: 'if (kept === null || kept.chunks !== chunks || digest < 0) {',
      },
    ],
  },
  {
    bug: '14b',
    rule: 14,
    name: 'a transfer goes on one chunk too late',
    patches: [
      {
        file: `${SHELL}/sending.ts`,
        text: '    return digest === resume.digest ?',
        replacement: '    await chunks.next()\n    return digest === resume.digest ?',
      },
    ],
  },
  {
    bug: '14c',
    rule: 14,
    name: 'what was staged of another snapshot is not given up when one begins anew',
    patches: [
      {
        file: `${SHELL}/staging.ts`,
        text: '    if (receive.chunks > 0) {\n',
        replacement: '    if (receive.chunks > 0 || this.#receiving !== null) {\n',
      },
      {
        file: `${SHELL}/staging.ts`,
        text: "    if (receiving.expected !== receive.chunks) receiving.end('another part of it came than was due')\n",
        replacement: '    receiving.expected = receive.chunks\n',
      },
      {
        file: `${SHELL}/transfers.ts`,
        text: '    for (const transfer of effects.abandons) this.staging.abandon(transfer)\n',
        replacement: '    for (const transfer of effects.abandons) if (effects.receives.length === 0) this.staging.abandon(transfer)\n',
      },
    ],
  },
  {
    bug: '14d',
    rule: 14,
    name: 'a staged log goes on although it holds entries that its new leader never had',
    explained: 'the ends of both histories are compared three times, here, at each run and at NEWLEADER (15, 16): all three are taken away',
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: 'log.last < history.start || !includes(history, log.last, log.checksum)) return false',
        replacement: 'log.last < history.start) return false',
      },
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  if (rest.previous !== history.last) {\n',
        replacement: '  if (rest.previous !== history.last && history.last < 0) {\n',
      },
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  if (rest.previousChecksum !== history.checksum) {\n',
        replacement: '  if (rest.previousChecksum !== history.checksum && history.last < 0) {\n',
      },
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: '  if (history.last !== message.last) {\n',
        replacement: '  if (history.last !== message.last && role.staging === null) {\n',
      },
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: '  if (differs(step, history, message.checksum)) return\n  const { staging } = role\n',
        replacement: '  if (role.staging === null && differs(step, history, message.checksum)) return\n  const { staging } = role\n',
      },
    ],
  },
]

/** A slow follower rejoins in mid-stream. */
const RULE_17: readonly Mutant[] = [
  {
    bug: '17a',
    rule: 17,
    name: 'who rejoins in mid-stream misses what lies between the stream and the live entries, and nobody looks',
    patches: [
      {
        file: `${CORE}/leader/stream.ts`,
        text: '    for (const run of recentRuns(history, learner.sent, upTo)!) step.send',
        replacement: '    for (const run of recentRuns(history, upTo, upTo)!) step.send',
      },
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  if (rest.previous !== history.last) {\n',
        replacement: '  if (rest.previous !== history.last && history.last < 0) {\n',
      },
    ],
  },
  {
    bug: '17b',
    rule: 17,
    name: 'what was streamed counts as acknowledged',
    patches: [{ file: `${CORE}/leader/stream.ts`, text: '  learner.keepAbove = upTo\n', replacement: '  learner.keepAbove = upTo\n  learner.acked = upTo\n' }],
  },
  {
    bug: '17c',
    rule: 17,
    name: 'acknowledgements of a learner that is streamed to are dropped',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: '    if (learner === null || message.upTo > learner.sent) return\n',
        replacement: '    if (learner === null || learner.streaming || message.upTo > learner.sent) return\n',
      },
    ],
  },
  {
    bug: '17d',
    rule: 17,
    name: 'compaction does not keep what a slow follower is still to be sent',
    patches: [{ file: `${CORE}/core.ts`, text: ' || learner.streaming) keep', replacement: ' || learner.heardAt < 0) keep' }],
  },
  {
    bug: '17e',
    rule: 17,
    name: 'a full window closes nothing and streams nothing: it is forgotten',
    patches: [
      {
        file: `${CORE}/leader/stream.ts`,
        text: '  if (learner.acked < learner.streamMark || learner.sent >= upTo) return\n',
        replacement: '  if (learner.sent >= ZERO) return\n',
      },
      { file: `${CORE}/leader/stream.ts`, text: "import type { Zxid } from '../zxid.ts'\n", replacement: "import { ZERO, type Zxid } from '../zxid.ts'\n" },
      {
        file: `${CORE}/leader/stream.ts`,
        text: 'bytesAbove(history, learner.sent) <= step.config.windowBytes ? learner.sent : history.last',
        replacement: 'history.last',
      },
    ],
  },
  {
    bug: '17f',
    rule: 17,
    name: 'what is proposed and not committed is not bounded by the window',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: 'bytesRoom: config.windowBytes - bytesAbove(history, state.committed),',
        replacement: 'bytesRoom: config.windowBytes - 0 * bytesAbove(history, state.committed),',
      },
    ],
  },
]

/** The speculation of machines. */
const RULE_20: readonly Mutant[] = [
  {
    bug: '20a',
    rule: 20,
    name: 'a change that is too large is not taken back',
    patches: [{ file: `${SHELL}/reign.ts`, text: '      if (machine.prepare !== undefined) machine.unprepare?.()\n', replacement: '' }],
  },
  {
    bug: '20b',
    rule: 20,
    name: 'a machine is not told that its reign is over',
    patches: [{ file: `${SHELL}/reign.ts`, text: 'machine.abandon?.()', replacement: 'void machine' }],
  },
]

/** Results in the table of origins, retirement of silent ones. */
const RULE_22: readonly Mutant[] = [
  {
    bug: '22a',
    rule: 22,
    name: 'a snapshot knows the numbers of its origins and not their results',
    patches: [
      {
        file: `${SHELL}/origins.ts`,
        text: 'map(({ origin, storeId, nonce, last, confirmed }) => [origin, storeId, nonce, last, confirmed])',
        replacement: 'map(({ origin, storeId, nonce, last }) => [origin, storeId, nonce, last, last])',
      },
      { file: `${SHELL}/origins.ts`, text: '.map(({ results }) => results.encode())', replacement: '.map(() => new Uint8Array(0))' },
    ],
  },
  {
    bug: '22b',
    rule: 22,
    name: 'results are dropped before their origin has them',
    patches: [
      {
        file: `${SHELL}/applier.ts`,
        text: '      row.confirmed = confirmed[i]!\n',
        replacement: '      row.confirmed = Math.max(confirmed[i]!, row.last - 1)\n',
      },
    ],
  },
  {
    bug: '22c',
    rule: 22,
    name: 'what was asked under a row that was retired is taken later',
    patches: [
      {
        file: `${SHELL}/reign.ts`,
        text: '    const row = this.#table.get(origin)\n    if (row === undefined) {\n      this.#host.links.post(',
        replacement:
          "    let row = this.#table.get(origin)\n    if (row === undefined) {\n      row = this.#table.register(origin, '0'.repeat(32), '0'.repeat(16))\n      row.last = first - 1\n    }\n    if (row === undefined) {\n      this.#host.links.post(",
      },
      {
        file: `${SHELL}/applier.ts`,
        text: '        sequence = entrySequence(bytes, at)\n',
        replacement:
          "        sequence = entrySequence(bytes, at)\n        if (row === null) {\n          row = this.table.register(origin, '0'.repeat(32), '0'.repeat(16))\n          row.last = sequence - 1\n        }\n",
      },
    ],
  },
  {
    bug: '22d',
    rule: 22,
    name: 'an origin confirms what it was not told yet',
    patches: [
      {
        file: `${SHELL}/forwarding.ts`,
        text: "{ kind: 'REQUESTS', origin: this.origin, first, confirmed: slots.confirmed, requests }",
        replacement: "{ kind: 'REQUESTS', origin: this.origin, first, confirmed: first - 1, requests }",
      },
    ],
  },
  {
    bug: '22e',
    rule: 22,
    name: 'an origin goes on under a row of its own that was retired',
    patches: [
      {
        file: `${SHELL}/forwarding.ts`,
        text: "    this.#host.tell('origin retired', {",
        replacement: "    if (origin > 0) return\n    this.#host.tell('origin retired', {",
      },
    ],
  },
  {
    bug: '22f',
    rule: 22,
    name: 'what was sent under a row that is gone unseen is asked again under the next one',
    patches: [
      {
        file: `${SHELL}/forwarding.ts`,
        text: 'this.#proposals.lose(Math.min(this.#everSent,',
        replacement: 'this.#proposals.lose(Math.min(0 * this.#everSent,',
      },
    ],
  },
  {
    bug: '22g',
    rule: 22,
    name: 'what a flooded leader dropped and asks for again is not sent again',
    patches: [
      {
        file: `${SHELL}/forwarding.ts`,
        text: '    if (origin === this.origin && origin !== ZERO) this.#sent = Math',
        replacement: '    if (origin === this.origin && origin < ZERO) this.#sent = Math',
      },
    ],
  },
]

/** Rounds of reads in a pipeline, reads by lease. */
const RULE_23: readonly Mutant[] = [
  {
    bug: '23b',
    rule: 23,
    name: 'a lease counts from when the echo arrived',
    patches: [
      {
        file: `${CORE}/reads.ts`,
        text: '  reads.confirmedAt = reads.underway[ended - 1]!.sentAt\n',
        replacement: '  reads.confirmedAt = step.now.monotonic\n',
      },
    ],
  },
  {
    bug: '23c',
    rule: 23,
    name: 'a voter promises an epoch to another leader during a lease',
    patches: [
      {
        file: `${CORE}/lease.ts`,
        text: '  return lease.to !== candidate && step.now.monotonic < lease.until\n',
        replacement: '  return lease.to === 256 && step.now.monotonic < lease.until\n',
      },
    ],
  },
  {
    bug: '23e',
    rule: 23,
    name: 'a voter is free as soon as anybody looks for a leader',
    patches: [{ file: `${CORE}/lease.ts`, text: '  if (lease.to === leader && step.counted(leader)) ', replacement: '  if (step.counted(leader)) ' }],
  },
  {
    bug: '23f',
    rule: 23,
    name: 'a process that begins knows nothing of the lease that the one before it has granted',
    patches: [
      {
        file: `${CORE}/lease-promise.ts`,
        text: 'to === config.self ? now : now + holdMs(config)',
        replacement: 'to === config.self ? now : now',
      },
    ],
  },
]

/** The median of the clocks. */
const RULE_24: readonly Mutant[] = [
  {
    bug: '24a',
    rule: 24,
    name: 'a leader stamps its own clock, however far it is ahead',
    patches: [{ file: `${CORE}/leader/clocks.ts`, text: '  return ahead > step.config.clockAheadMsMax ?', replacement: '  return ahead > Number.MAX_VALUE ?' }],
  },
  {
    bug: '24b',
    rule: 24,
    name: 'the latest of the clocks counts, not the one in the middle',
    patches: [{ file: `${CORE}/leader/clocks.ts`, text: 'walls[(walls.length - 1) >> 1]!', replacement: 'walls[walls.length - 1]!' }],
  },
]

/** Digests are compared, and who differs is rebuilt. */
const RULE_28: readonly Mutant[] = [
  {
    bug: '28a',
    rule: 28,
    name: 'digests are told and never compared',
    patches: [
      {
        file: `${CORE}/digests.ts`,
        text: '  if (id === step.self) quarantine(step, zxid, own, quorum)\n',
        replacement: '  if (id !== 0) return\n  if (id === step.self) quarantine(step, zxid, own, quorum)\n',
      },
    ],
  },
  {
    bug: '28b',
    rule: 28,
    name: 'a quarantined replica stands for election',
    patches: [
      {
        file: `${CORE}/election.ts`,
        text: '  if (step.state.quarantined !== null || isPromisedAway(step, step.self)) return null\n',
        replacement: '  if (isPromisedAway(step, step.self)) return null\n',
      },
    ],
  },
  {
    bug: '28c',
    rule: 28,
    name: 'a quarantined replica is counted in discovery although it knows more than the leader',
    patches: [
      {
        file: `${CORE}/leader/discovery.ts`,
        text: '!(ack.quarantined && knowsMore(step, ack))',
        replacement: '(ack.quarantined || !knowsMore(step, ack))',
      },
    ],
  },
  {
    bug: '28d',
    rule: 28,
    name: 'a void state goes on being read',
    patches: [{ file: `${SHELL}/applier.ts`, text: '    return this.#blocked > 0 || this.#void\n', replacement: '    return this.#blocked > 0\n' }],
  },
  {
    bug: '28e',
    rule: 28,
    name: 'a quarantined replica is rebuilt from its own newest snapshot',
    patches: [
      {
        file: `${SHELL}/restoring.ts`,
        text: '    announcer.quarantined(quarantine)\n',
        replacement: '    announcer.quarantined(quarantine)\n    if (this.#host.core.state.history.snapshot !== null) this.restore(0)\n',
      },
    ],
  },
  {
    bug: '28f',
    rule: 14,
    name: 'a rebuild truncates the log behind its snapshot',
    patches: [
      {
        file: `${CORE}/digests.ts`,
        text: '  step.commit(snapshot.zxid)\n',
        replacement:
          '  step.commit(snapshot.zxid)\n  if (snapshot.zxid < state.history.last) {\n    truncate(state.history, snapshot.zxid, snapshot.checksum)\n    step.write({ truncateTo: { zxid: snapshot.zxid, checksum: snapshot.checksum } })\n  }\n',
      },
      { file: `${CORE}/digests.ts`, text: "import { checksumAt } from './history.ts'\n", replacement: "import { checksumAt, truncate } from './history.ts'\n" },
    ],
  },
]

/** What proves the whole form of rules that no row of the museum speaks of: each takes one of their promises away. */
export const RULE_MUTANTS: readonly Mutant[] = [...RULE_2, ...RULE_12, ...RULE_14, ...RULE_17, ...RULE_20, ...RULE_22, ...RULE_23, ...RULE_24, ...RULE_28]
