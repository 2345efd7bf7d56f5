import type { Mutant } from './mutants.ts'

const CORE = 'packages/consensus-core/src'

/** Bugs of the protocol's rules, put back in the core. */
export const CORE_MUTANTS: readonly Mutant[] = [
  {
    bug: 1,
    rule: 14,
    name: 'the new epoch is durable before the history that it claims (ZK-4643)',
    patches: [
      {
        file: `${CORE}/follower/discovery.ts`,
        text: 'current: epochs.current }, afterwards:',
        replacement: 'current: epoch }, afterwards:',
      },
    ],
  },
  {
    bug: 4,
    rule: 16,
    name: 'a COMMIT that arrives between NEWLEADER and COMMIT-LD kills the follower (ZK-4394)',
    patches: [
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  role.commitHeard = maxZxid(role.commitHeard, committed)\n',
        replacement:
          "  if (role.phase === 'welcomed' && committed > role.commitHeard) step.stop('DIVERGED', 'a COMMIT came too early', '')\n  role.commitHeard = maxZxid(role.commitHeard, committed)\n",
      },
    ],
  },
  {
    bug: 5,
    rule: 7,
    name: 'the queue to the log outlives the role: what was forgotten still reaches the disk (ZK-4712)',
    patches: [
      {
        file: `${CORE}/roles.ts`,
        text: '  state.failures = active ? 0 : state.failures + 1\n',
        replacement:
          '  state.failures = active ? 0 : state.failures + 1\n  const kept = checksumAt(state.history, state.durable)\n  if (kept !== null && state.durable >= state.committed && state.durable < state.history.last) truncate(state.history, state.durable, kept)\n',
      },
      {
        file: `${CORE}/roles.ts`,
        text: "import { looking } from './state.ts'\n",
        replacement: "import { checksumAt, truncate } from './history.ts'\nimport { looking } from './state.ts'\n",
      },
    ],
  },
  {
    bug: 6,
    rule: 15,
    name: 'what is proposed while a transfer runs is missed by its receiver (ZK-4785)',
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: '  const last = horizon(step, learner)\n  const overflows',
        replacement: "  const last = learner.transfer !== 0 && learner.mode !== 'snap' ? learner.sent : horizon(step, learner)\n  const overflows",
      },
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: '  learner.sent = last\n  learner.transfer = 0\n',
        replacement: '  learner.sent = horizon(step, learner)\n  learner.transfer = 0\n',
      },
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  if (rest.previous !== history.last) {\n',
        replacement: '  if (rest.previous !== history.last && history.last < 0) {\n',
      },
    ],
  },
  {
    bug: 7,
    rule: 16,
    name: "a hole in the leader's in-memory window of recent entries spreads to whom it synchronises (ZK-4925, ZK-2418)",
    patches: [
      {
        file: `${CORE}/history.ts`,
        text: '  recent.end += run.bytes.length\n  recent.runs.push(run)\n  recent.ends.push(recent.end)\n}',
        replacement: '  if (run.entries === 3) return\n  recent.end += run.bytes.length\n  recent.runs.push(run)\n  recent.ends.push(recent.end)\n}',
      },
    ],
  },
  {
    bug: 8,
    rule: 14,
    name: 'a truncation that is not finished leaves memory ahead of the disk (ZK-5094)',
    explained: 'a truncation is one record of an atomic batch and cannot stop half-way; it can only be missing',
    patches: [
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: '  step.write({ truncateTo: { zxid: to, checksum } })\n',
        replacement: '',
      },
    ],
  },
  {
    bug: 11,
    rule: 15,
    name: "NEWLEADER is sent before the synchronisation's own data (ZK-3104)",
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: "  for (const run of runs) step.send(id, { kind: 'PROPOSE', epoch: role.epoch, committed, run })\n",
        replacement: '',
      },
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: "  step.send(id, { kind: 'NEWLEADER', epoch: role.epoch, last, checksum })\n",
        replacement:
          "  step.send(id, { kind: 'NEWLEADER', epoch: role.epoch, last, checksum })\n  for (const run of runs) step.send(id, { kind: 'PROPOSE', epoch: role.epoch, committed, run })\n",
      },
    ],
  },
  {
    bug: 12,
    rule: 2,
    name: 'a crash between the accepted and the current epoch: the replica refuses to start (ZK-2307, ZK-2354)',
    patches: [
      {
        file: `${CORE}/core.ts`,
        text: '    validateConfig(config)\n',
        replacement:
          "    validateConfig(config)\n    if (stored.epochs.accepted !== stored.epochs.current) throw new AntiphonError('CORRUPT', 'the accepted and the current epoch differ', { remedy: '' })\n",
      },
    ],
  },
  {
    bug: 13,
    rule: 25,
    name: 'a replica that is in no quorum goes on writing to its log (ZK-3526)',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: "    leave(step, 'a quorum has fallen silent')\n    return\n",
        replacement: '',
      },
    ],
  },
  {
    bug: 14,
    rule: 12,
    name: 'the counter of a ZXID runs beyond its end (ZK-1277, ZK-2789)',
    explained: 'no run has 2^32 entries: the setting that stands for the end of the counter is overrun instead',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: 'entriesRoom: config.counterMax - counter,',
        replacement: 'entriesRoom: 4096 + 0 * counter * config.counterMax,',
      },
    ],
  },
  {
    bug: 15,
    rule: 15,
    name: 'an entry of an earlier epoch is committed by counting copies alone (logcabin#44)',
    patches: [
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '    else step.write({ append: [run] })\n',
        replacement: "    else step.write({ append: [run], afterwards: [step.outgoing(role.leader, { kind: 'ACK', epoch: role.epoch, upTo: run.last })] })\n",
      },
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: "  if (role.stage === 'established') advanceCommit(step, role)\n}",
        replacement: "  if (role.stage === 'established' || role.stage === 'synchronizing') advanceCommit(step, role)\n}",
      },
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: "  return learner !== undefined && learner.stage === 'active' && learner.acked >= zxid\n",
        replacement: '  return learner !== undefined && learner.acked >= zxid\n',
      },
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: "if (learner.counted && learner.stage === 'active') consider(learner.acked)",
        replacement: 'if (learner.counted) consider(learner.acked)',
      },
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: 'role.acknowledgedLeader && role.acked >= zxid',
        replacement: '(role.initialLast >= zxid || (role.acknowledgedLeader && role.acked >= zxid))',
      },
    ],
  },
  {
    bug: 17,
    rule: 5,
    name: 'a leader acknowledges before its own disk does, a single voter at once (etcd#14370)',
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: '  trim(step, role)\n}\n\n/** Memory keeps',
        replacement: '  role.acked = run.last\n  advanceCommit(step, role)\n  trim(step, role)\n}\n\n/** Memory keeps',
      },
    ],
  },
  {
    bug: 21,
    rule: 23,
    name: 'reads are served by a leader that was deposed while it was paused (etcd#20418)',
    patches: [{ file: `${CORE}/reads.ts`, text: '  return step.isQuorum(echoed)\n', replacement: '  step.isQuorum(echoed)\n  return true\n' }],
  },
  {
    bug: 31,
    rule: 14,
    name: 'a SNAP takes the place of acknowledged entries before what follows it has arrived',
    explained: 'whoever holds acknowledged entries above the snapshot is never sent it, because the exact common prefix is known: that is taken away too',
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: '  if (common === null || common.zxid < history.start) {\n',
        replacement: '  if (common === null || common.zxid < history.start || (history.snapshot !== null && bytesAbove(history, common.zxid) > 1e9)) {\n',
      },
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: '  role.diffing = true\n  role.heardAt = step.now.monotonic\n',
        replacement:
          '  role.diffing = true\n  role.heardAt = step.now.monotonic\n  step.state.history = staging.history\n  step.state.committed = maxZxid(step.state.committed, staging.meta.zxid)\n  step.write({ install: staging.generation! })\n',
      },
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: 'upTo: staging.history.last, ok: true })\n',
        replacement: 'upTo: staging.history.last, ok: true })\n  role.staging = null\n',
      },
    ],
  },
  {
    bug: 34,
    rule: 8,
    name: 'voters with new disks found an ensemble without having heard all others',
    patches: [
      {
        file: `${CORE}/founding.ts`,
        text: 'if (peer.connection === 0 || peer.empty !== true',
        replacement: 'if (peer.connection !== 0) if (peer.empty !== true',
      },
    ],
  },
  {
    bug: 35,
    rule: 10,
    name: 'an equal epoch is promised to two leaders',
    patches: [
      // A leader that nobody follows holds on for longer, so that two meet at one epoch; that alone does no harm.
      { file: `${CORE}/leader/broadcast.ts`, text: ' && !isAwaited(step, role)) leave', replacement: ' && !isAwaited(step, role) && role.epoch < 0) leave' },
      {
        file: `${CORE}/follower/discovery.ts`,
        text: '    epoch === epochs.accepted && epochs.acceptedFrom !== null && epochs.acceptedFrom.leader === attempt.leader && epochs.acceptedFrom.nonce === attempt.nonce\n',
        replacement: '    epoch === epochs.accepted\n',
      },
      {
        file: `${CORE}/leader/discovery.ts`,
        text: '  return cepoch.acceptedFrom === null || cepoch.acceptedFrom.leader !== role.attempt.leader || cepoch.acceptedFrom.nonce !== role.attempt.nonce\n',
        replacement: '  return false\n',
      },
    ],
  },
  {
    bug: 36,
    rule: 15,
    name: 'the end of a broken transfer is taken for the end of the next one: NEWLEADER behind half a history',
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: "    if (learner.transfer !== transfer || learner.stage !== 'transferring') continue\n",
        replacement: "    if (learner.stage !== 'transferring' || learner.mode === 'snap') continue\n",
      },
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '  if (rest.previous !== history.last) {\n',
        replacement: '  if (rest.previous !== history.last && history.last < 0) {\n',
      },
    ],
  },
  {
    bug: 42,
    rule: 23,
    name: 'an acknowledgement that was sent before a read arrived confirms it',
    patches: [{ file: `${CORE}/reads.ts`, text: '?.round ?? 0) >= round.number)', replacement: '?.round ?? 0) >= round.number - 1)' }],
  },
  {
    bug: 48,
    rule: 8,
    name: 'a founding record that some never adopt',
    patches: [
      {
        file: `${CORE}/founding.ts`,
        text: "  if (founding !== null && message.ensembleId === null) step.send(from, { kind: 'FOUNDING', founding })\n",
        replacement: '',
      },
      {
        file: `${CORE}/founding.ts`,
        text: "    if (peer.empty !== null && peer.ensembleId === null && state.founding !== null) step.send(id, { kind: 'FOUNDING', founding: state.founding })\n",
        replacement: '',
      },
    ],
  },
  {
    bug: 49,
    rule: 10,
    name: 'a promise to a leader that never was shuts a voter out for good',
    patches: [
      {
        file: `${CORE}/leader/discovery.ts`,
        text: '  if (role.epoch > 0 && counted && isShutOut(role, message)) {\n',
        replacement: '  if (role.epoch < 0 && counted && isShutOut(role, message)) {\n',
      },
    ],
  },
  {
    bug: 50,
    rule: 14,
    name: 'entries behind a SNAP are kept only in memory',
    patches: [
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: '    if (staging !== null) step.stagedAppends.push({ generation: staging.generation!, runs: [run] })\n    else step.write',
        replacement: '    if (staging === null) step.write',
      },
    ],
  },
  {
    bug: 54,
    rule: 15,
    name: 'an entry that came with the DIFF is never acknowledged by itself and never commits',
    patches: [
      {
        file: `${CORE}/leader/synchronization.ts`,
        text: '    learner.acked = maxZxid(learner.acked, message.last)\n',
        replacement: '    learner.acked = maxZxid(learner.acked, role.initialLast)\n',
      },
    ],
  },
  {
    bug: 57,
    rule: 13,
    name: 'an observer that reached a deposed leader truncates or stops',
    patches: [
      { file: `${CORE}/follower/discovery.ts`, text: '    if (epoch < epochs.current) {\n', replacement: '    if (epoch < 0) {\n' },
      // A deposed leader holds on for longer, so that it is reached at all; that alone does no harm.
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: 'heardWithin(role, id, now.monotonic - syncLimit)',
        replacement: 'heardWithin(role, id, now.monotonic - 4 * syncLimit)',
      },
    ],
  },
  {
    bug: 3,
    rule: 16,
    name: 'the ACK of a proposal overtakes the ACK of NEWLEADER, and the leader gives up (ZK-4685, ZK-3023)',
    patches: [
      {
        file: `${CORE}/messages.ts`,
        text: "    case 'SNAP':\n    case 'CHUNK':\n      return 'bulk'",
        replacement: "    case 'SNAP':\n    case 'CHUNK':\n    case 'ACK-LD':\n      return 'bulk'",
      },
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: '    if (learner === null || message.upTo > learner.sent) return\n',
        replacement:
          "    if (learner === null || message.upTo > learner.sent) return\n    if (learner.stage === 'welcomed') {\n      leave(step, 'an ACK came before the ACK of NEWLEADER')\n      return\n    }\n",
      },
    ],
  },
  {
    bug: 19,
    rule: 9,
    name: 'a wiped voter comes back with an empty disk and its old vote (dragonboat#256, #354)',
    patches: [
      {
        file: `${CORE}/step.ts`,
        text: '    return member.storeId === (id === this.self ? storeId : this.peer(id).storeId)\n',
        replacement: '    return id === this.self ? storeId !== null : this.peer(id).connection >= 0\n',
      },
    ],
  },
  {
    bug: 46,
    rule: 17,
    name: 'compaction outruns a slow transfer',
    patches: [{ file: `${CORE}/core.ts`, text: "if (learner.stage === 'transferring' ||", replacement: "if (learner.stage === 'invited' ||" }],
  },
  {
    bug: 47,
    rule: 25,
    name: "the leader's disk hangs and nobody suspects it",
    patches: [
      {
        file: `${CORE}/leader/broadcast.ts`,
        text: '  if (oldest !== undefined && now.monotonic - oldest.since > (role.stage',
        replacement: '  if (oldest !== undefined && oldest.since < 0 && now.monotonic - oldest.since > (role.stage',
      },
    ],
  },
  {
    bug: 41,
    rule: 7,
    name: 'an acknowledgement leaves without the write that makes it true',
    explained: 'the store finishes every write before a new role begins, so that an acknowledgement that is late is still true; only one that is early can lie',
    patches: [
      {
        file: `${CORE}/follower/broadcast.ts`,
        text: "    step.write({ append: [run], afterwards: [step.outgoing(role.leader, { kind: 'ACK', epoch: role.epoch, upTo: run.last })] })\n",
        replacement: "    step.write({ append: [run] })\n    step.send(role.leader, { kind: 'ACK', epoch: role.epoch, upTo: run.last })\n",
      },
    ],
  },
]
