import type { Mutant } from './mutants.ts'

const CORE = 'packages/consensus-core/src'

/** Bugs that shipped elsewhere, put back. `known-bugs.md` has their stories; each row's number is its own there. */
export const MUSEUM: readonly Mutant[] = [
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
    bug: 2,
    rule: 5,
    name: 'NEWLEADER is acknowledged before what came in the synchronisation is on disk (ZK-4646, ZK-3911)',
    patches: [
      {
        file: 'packages/replica/src/shell.ts',
        text: '    this.applier.note(write)\n',
        replacement:
          "    this.applier.note(write)\n    for (const out of write.afterwards) if (out.to !== this.#self && out.message.kind === 'ACK-LD') this.links.post(out)\n",
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
]
