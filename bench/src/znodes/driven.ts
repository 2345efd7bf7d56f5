import { type CommittedBatch, type PrimaryContext, type Zxid, zxidOf } from '@antiphon/ports'
import { type CreateMode, OPEN_ACL, type WriteOperation, type ZnodeRequest, type ZnodeResult, type ZnodeTree, znodeTree } from '@antiphon/znode-tree'

const START_TIME = 1_700_000_000_000
const BATCH = 100
const BATCH_BYTES = 4 * 1024 * 1024

/** A tree that is its own primary, without a replica around it: requests are prepared, laid into one piece of memory as a log has them, and applied by the batch. */
export class DrivenTree {
  readonly machine: ZnodeTree = znodeTree({ name: 'bench' })
  readonly #memory = new Uint8Array(BATCH_BYTES)
  readonly #ends: number[] = []
  readonly #batch: CommittedBatch
  #applied = 0
  #time = START_TIME

  constructor() {
    const [memory, ends] = [this.#memory, this.#ends]
    const start = (index: number): number => (index === 0 ? 0 : ends[index - 1]!)
    const zxid = (index: number): Zxid => zxidOf(1, this.#applied + 1 + index)
    this.#batch = {
      get length() {
        return ends.length
      },
      bytes: memory,
      start,
      end: (index) => ends[index]!,
      change: (index) => memory.subarray(start(index), ends[index]!),
      zxid,
      time: () => this.#time,
      needsResult: () => true,
    }
    this.machine.leading?.(this.#context())
  }

  /** Prepared and applied, at once. */
  ask(request: ZnodeRequest): ZnodeResult {
    this.prepare(this.machine.encodeRequest(request))
    return this.apply()[0]!
  }

  /** As `encodeRequest` made it; applied with its batch. */
  write(request: Uint8Array): void {
    this.prepare(request)
    if (this.#ends.length === BATCH) this.apply()
  }

  prepare(request: Uint8Array): void {
    const change = this.machine.prepare!(request, this.#context())
    const at = this.#ends.at(-1) ?? 0
    this.#memory.set(change, at)
    this.#ends.push(at + change.length)
  }

  apply(): readonly ZnodeResult[] {
    const results = this.machine.apply(this.#batch)
    this.#applied += this.#ends.length
    this.#ends.length = 0
    this.#time++
    return results
  }

  open(): Holder {
    const opened = this.ask({ kind: 'createSession', peer: 1, timeoutMs: 40_000, id: null })
    if (opened.type !== 'session') throw new Error(`no session: ${opened.type}`)
    return new Holder(this, opened.session, opened.zxid)
  }

  #context(): PrimaryContext {
    const time = this.#time
    return {
      epoch: 1,
      zxid: zxidOf(1, this.#applied + this.#ends.length + 1),
      time,
      monotonic: time,
      tickMs: 100,
      changeBytesMax: BATCH_BYTES,
      random: () => 4,
    }
  }
}

/** A session of a tree, and who writes in its name. */
export class Holder {
  readonly id: bigint
  readonly tree: DrivenTree
  readonly #attachment: Zxid

  constructor(tree: DrivenTree, id: bigint, attachment: Zxid) {
    this.tree = tree
    this.id = id
    this.#attachment = attachment
  }

  request(operation: WriteOperation): Uint8Array {
    return this.tree.machine.encodeRequest({ kind: 'write', session: this.id, attachment: this.#attachment, local: false, identities: [], operation })
  }

  create(path: string, data: Uint8Array, mode: CreateMode = 'persistent'): void {
    this.tree.write(this.request({ type: 'create', path, data, acl: OPEN_ACL, mode, ttlMs: 0 }))
  }

  close(): void {
    this.tree.prepare(this.tree.machine.encodeRequest({ kind: 'closeSession', session: this.id, attachment: this.#attachment }))
  }
}

export const DATA_BYTES = 100
const DATA: Uint8Array = new Uint8Array(DATA_BYTES).fill(0x64)
const NODES_PER_FOLDER = 1000

/** Where node `index` lies: a thousand in a folder. */
export function pathOf(index: number): string {
  return `/folder-${Math.floor(index / NODES_PER_FOLDER)}/node-${index}`
}

export function fill(holder: Holder, nodes: number): void {
  for (let index = 0; index < nodes; index++) {
    if (index % NODES_PER_FOLDER === 0) holder.create(`/folder-${index / NODES_PER_FOLDER}`, DATA)
    holder.create(pathOf(index), DATA)
  }
  holder.tree.apply()
  const { size } = holder.tree.machine.reader
  if (size < nodes) throw new Error(`${size} of ${nodes} nodes are there`)
}

/** The plain way: an object for each node, in a Map by its path. */
export interface PlainNode {
  data: Uint8Array
  version: number
  readonly czxid: number
  mzxid: number
  readonly ctime: number
  mtime: number
}

export function plainNodes(nodes: number): Map<string, PlainNode> {
  const map = new Map<string, PlainNode>()
  for (let index = 0; index < nodes; index++) {
    const zxid = zxidOf(1, index)
    map.set(pathOf(index), { data: DATA.slice(), version: 0, czxid: zxid, mzxid: zxid, ctime: START_TIME + index, mtime: START_TIME + index })
  }
  return map
}
