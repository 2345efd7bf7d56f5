import type { Mutant } from './mutants.ts'

const REPLICA = 'packages/replica/src'

/** Bugs put back in the shell: what carries the core's decisions out, and the exactly-once protocol. */
export const SHELL_MUTANTS: readonly Mutant[] = [
  {
    bug: 2,
    rule: 5,
    name: 'NEWLEADER is acknowledged before what came in the synchronisation is on disk (ZK-4646, ZK-3911)',
    patches: [
      {
        file: `${REPLICA}/shell.ts`,
        text: '    this.applier.note(write)\n',
        replacement:
          "    this.applier.note(write)\n    for (const out of write.afterwards) if (out.to !== this.#self && out.message.kind === 'ACK-LD') this.links.post(out)\n",
      },
    ],
  },
  {
    bug: 18,
    rule: 1,
    name: 'state and the index of what is applied are saved apart (etcd#13766)',
    explained: 'no index of what is applied is stored: a snapshot and the ZXID that it claims can come apart',
    patches: [
      {
        file: `${REPLICA}/snapshots.ts`,
        text: '      const views = machines.map(({ machine }) => machine.snapshot())\n',
        replacement: '',
      },
      {
        file: `${REPLICA}/snapshots.ts`,
        text: '      const kept = await',
        replacement: '      const views = machines.map(({ machine }) => machine.snapshot())\n      const kept = await',
      },
    ],
  },
  {
    bug: 37,
    rule: 20,
    name: 'a duplicate is recognised only when it is applied, after later changes were computed on top of it',
    patches: [
      { file: `${REPLICA}/reign.ts`, text: '      if (sequence <= row.last) continue\n', replacement: '' },
      { file: `${REPLICA}/reign.ts`, text: '      if (sequence !== row.last + 1 ||', replacement: '      if (sequence > row.last + 1 ||' },
      {
        file: `${REPLICA}/reign.ts`,
        text: '      row.last = sequence\n      row.confirmed = confirmed\n',
        replacement: '      row.last = Math.max(row.last, sequence)\n      row.confirmed = confirmed\n',
      },
      {
        file: `${REPLICA}/applier.ts`,
        text: '        if (row === null || row.last + 1 !== sequence) {\n',
        replacement:
          '        if (row !== null && sequence <= row.last) {\n          entries++\n          last = at\n          at += entryLength(bytes, at)\n          continue\n        }\n        if (row === null || row.last + 1 !== sequence) {\n',
      },
    ],
  },
  {
    bug: 38,
    rule: 22,
    name: 'an incarnation comes again: its first writes are taken for old ones',
    patches: [
      { file: `${REPLICA}/forwarding.ts`, text: '    this.#nonce = drawNonce(host.random)\n', replacement: '    this.#nonce = host.storeId.slice(0, 16)\n' },
    ],
  },
  {
    bug: 39,
    rule: 22,
    name: 'a request that is sent again is refused as overloaded although it stands in the log',
    patches: [
      {
        file: `${REPLICA}/forwarding.ts`,
        text: '    this.#sent = this.#proposals.slots.confirmed\n    this.#asked = false\n',
        replacement:
          '    this.#sent = this.#proposals.slots.confirmed\n    this.#asked = false\n    const { slots } = this.#proposals\n    for (let n = slots.confirmed + 1; n <= slots.lastNumber; n++) {\n      const slot = slots.at(n)\n      if (slot !== null) slots.reject(slot, overloaded(0, 0))\n    }\n',
      },
      {
        file: `${REPLICA}/forwarding.ts`,
        text: "import type { Links } from './links.ts'\n",
        replacement: "import { overloaded } from './errors.ts'\nimport type { Links } from './links.ts'\n",
      },
    ],
  },
  {
    bug: 45,
    rule: 22,
    name: 'a snapshot without origins',
    patches: [
      { file: `${REPLICA}/snapshots.ts`, text: 'origins: applier.table, machines', replacement: 'origins: new OriginTable(), machines' },
      {
        file: `${REPLICA}/snapshots.ts`,
        text: "import type { OriginTable } from './origins.ts'\n",
        replacement: "import { OriginTable } from './origins.ts'\n",
      },
    ],
  },
  {
    bug: 53,
    rule: 22,
    name: 'a registration that is sent twice retires the row under which writes are numbered',
    explained:
      'a row that is retired costs nothing, because its origin sees the entry that does it and goes on under the next one: here it does not look at its own second registration',
    patches: [
      {
        file: `${REPLICA}/reign.ts`,
        text: '    if (this.#table.byNonce(registration.nonce) !== undefined || !this.#hasRoom()) return\n',
        replacement: '    if (this.#registered.has(registration.nonce) || !this.#hasRoom()) return\n    this.#registered.add(registration.nonce)\n',
      },
      { file: `${REPLICA}/reign.ts`, text: '  #oursFirst = false\n', replacement: '  #oursFirst = false\n  readonly #registered = new Set<string>()\n' },
      {
        file: `${REPLICA}/forwarding.ts`,
        text: '    if (this.origin === ZERO) {\n      if (!this.#asked) this.#asked =',
        replacement:
          "    if (this.origin !== ZERO && !this.#asked) this.#asked = this.#host.links.offer(peer, connection, { kind: 'REGISTER', ...this.registration })\n    if (this.origin === ZERO) {\n      if (!this.#asked) this.#asked =",
      },
      {
        file: `${REPLICA}/forwarding.ts`,
        text: '    if (nonce === this.#nonce) this.#begin(zxid)\n',
        replacement: '    if (nonce === this.#nonce) {\n      if (this.origin === ZERO) this.#begin(zxid)\n    }\n',
      },
      {
        file: `${REPLICA}/forwarding.ts`,
        text: '    else this.onRetired(this.origin)\n',
        replacement: '    if (nonce !== this.#nonce) this.onRetired(this.origin)\n',
      },
    ],
  },
  {
    bug: 56,
    rule: 15,
    name: 'the rest of the history overtakes the last chunk of the transfer',
    patches: [
      {
        file: `${REPLICA}/sending.ts`,
        text: "    if (!ok || transfer.mode === 'diff') this.#host.transferred(transfer.transfer, upTo, ok)\n",
        replacement: "    this.#host.transferred(transfer.transfer, transfer.mode === 'diff' ? upTo : transfer.after, ok)\n",
      },
    ],
  },
  {
    bug: 44,
    rule: 6,
    name: 'a flipped bit in a COMMIT is believed',
    patches: [
      {
        file: 'packages/wire/src/frame.ts',
        text: '  if (crc32(bytes, 0, 4, covered) !== readU32(bytes, 0)) throw',
        replacement: '  if (crc32(bytes, 0, 4, covered) !== readU32(bytes, 0) && bytes[5] !== KINDS.COMMIT) throw',
      },
    ],
  },
  {
    bug: 52,
    rule: 22,
    name: "what a deposed leader's machine asked by itself is sent again",
    patches: [
      {
        file: `${REPLICA}/reign.ts`,
        text: '    this.#begin(primary)\n    for (const { machine } of host.machines)',
        replacement:
          '    this.#begin(primary)\n    const kept = host.forwarding as unknown as { own?: OwnRequest[] }\n    this.#own = [...(kept.own ??= [])]\n    for (const { machine } of host.machines)',
      },
      {
        file: `${REPLICA}/reign.ts`,
        text: '      this.#propose(ZERO, 0, 0, machine, payload)\n',
        replacement:
          '      this.#propose(ZERO, 0, 0, machine, payload)\n      ;(this.#host.forwarding as unknown as { own: OwnRequest[] }).own.push({ machine, payload })\n',
      },
    ],
  },
  {
    bug: 55,
    rule: 20,
    name: 'a change larger than a frame stops the ensemble',
    patches: [
      {
        file: `${REPLICA}/reign.ts`,
        text: '    if (kind === KIND_CHANGE && change.length > changeBytesMax) {\n',
        replacement: '    if (kind === KIND_CHANGE && change.length > 1e9 * changeBytesMax) {\n',
      },
    ],
  },
]
