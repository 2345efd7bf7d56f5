import type { Mutant } from './mutants.ts'

const TREE = 'packages/znode-tree/src'
export const ZNODE_PROGRAM = 'test/simulation/znodes'

const BUGS: readonly Mutant[] = [
  {
    bug: 22,
    rule: 20,
    name: 'an ephemeral node outlives its session: it is made behind the close (ZK-2355, ZK-4837)',
    patches: [
      {
        file: `${TREE}/prepare/sessions.ts`,
        text: '  record.exists = false\n  change.u8(CLOSE)\n',
        replacement: '  change.u8(CLOSE)\n',
      },
    ],
  },
  {
    bug: 23,
    rule: 1,
    name: 'a snapshot that is read while changes go on has some of them in it (ZK-3144, ZK-3145)',
    patches: [
      {
        file: `${TREE}/store/versions.ts`,
        text: '    if (touched === undefined || touched.since <= view.epoch) return record\n',
        replacement: '    if (touched === undefined || touched.since <= view.epoch || record >= 0) return record\n',
      },
    ],
  },
  {
    bug: 24,
    rule: 20,
    name: 'what a failed multi has done so far is computed on (ZK-3127)',
    patches: [
      {
        file: `${TREE}/prepare/preparer.ts`,
        text: '      overlay.rollback()\n      writeMultiFailure(',
        replacement: '      writeMultiFailure(',
      },
    ],
  },
  {
    bug: 25,
    rule: 20,
    name: 'replicas differ over what a session that is closed leaves behind (ClickHouse#65198)',
    patches: [
      {
        file: `${TREE}/apply.ts`,
        text: '    for (const path of tree.ephemerals(id)) this.#delete(path)\n',
        replacement: '    for (const path of tree.ephemerals(id)) if (this.#hint === null) this.#delete(path)\n',
      },
    ],
  },
  {
    bug: 26,
    rule: 28,
    name: 'watches miss what has happened while their replica was brought up by a snapshot (ZK pull 1106, etcd#15271)',
    patches: [
      {
        file: `${TREE}/machine.ts`,
        text: '    this.watches.restored(since)\n',
        replacement: '',
      },
      {
        file: `${TREE}/machine.ts`,
        text: '    const since = this.reader.zxid\n',
        replacement: '',
      },
    ],
  },
  {
    bug: 27,
    rule: 20,
    name: 'behind the highest number of a busy parent come those that it has given out before (kazoo#730)',
    patches: [
      {
        file: `${TREE}/path.ts`,
        text: 'const number = childrenCreated | 0',
        replacement: 'const number = childrenCreated & 0x7fffffff',
      },
    ],
  },
]

/** Bugs of state machines like this one, put back in it. `known-bugs.md` has their stories. */
export const ZNODE_MUTANTS: readonly Mutant[] = BUGS.map((mutant) => ({ ...mutant, program: ZNODE_PROGRAM }))
