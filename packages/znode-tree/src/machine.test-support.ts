import { AntiphonError, type CommittedBatch, type PeerId, type PrimaryContext, type Zxid, zxidOf } from '@antiphon/ports'
import { expect } from 'vitest'
import { znodeTree } from './machine.ts'
import type { ZnodeTree, ZnodeTreeOptions } from './machine-types.ts'
import {
  type Acl,
  type CreateMode,
  type Identity,
  type MultiPart,
  OPEN_ACL,
  type OperationResult,
  type SessionId,
  type WriteOperation,
  type ZnodeRequest,
  type ZnodeResult,
} from './types.ts'

export const START_TIME = 1_700_000_000_000

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function create(path: string, options: { data?: string | null; acl?: readonly Acl[]; mode?: CreateMode; ttlMs?: number } = {}): MultiPart {
  const { data = '', acl = OPEN_ACL, mode = 'persistent', ttlMs = 0 } = options
  return { type: 'create', path, data: data === null ? null : bytes(data), acl, mode, ttlMs }
}

export function setData(path: string, data: string | null, version = -1): MultiPart {
  return { type: 'setData', path, data: data === null ? null : bytes(data), version }
}

export function remove(path: string, version = -1): MultiPart {
  return { type: 'delete', path, version }
}

export function check(path: string, version = -1): MultiPart {
  return { type: 'check', path, version }
}

export function setAcl(path: string, acl: readonly Acl[], version = -1): WriteOperation {
  return { type: 'setAcl', path, acl, version }
}

export function multi(...operations: MultiPart[]): WriteOperation {
  return { type: 'multi', operations }
}

/** Changes as they lie in a log: one piece of memory, which is overwritten when the call is over. */
export function batchOf(entries: readonly { readonly change: Uint8Array; readonly zxid: Zxid; readonly time: number }[], isResultDue = true): CommittedBatch {
  const between = 3
  const memory = new Uint8Array(entries.reduce((sum, { change }) => sum + change.length + between, between))
  const starts: number[] = []
  let at = between
  for (const { change } of entries) {
    starts.push(at)
    memory.set(change, at)
    at += change.length + between
  }
  const end = (index: number): number => starts[index]! + entries[index]!.change.length
  return {
    length: entries.length,
    bytes: memory,
    start: (index) => starts[index]!,
    end,
    change: (index) => memory.subarray(starts[index], end(index)),
    zxid: (index) => entries[index]!.zxid,
    time: (index) => entries[index]!.time,
    needsResult: () => isResultDue,
  }
}

/** One leader and one follower, without a network: what the leader prepares is applied by both, when the test says so. */
export class Stage {
  readonly leader: ZnodeTree
  readonly follower: ZnodeTree
  epoch = 1
  time = START_TIME
  monotonic = 5000
  tickMs = 100
  counter = 0
  readonly #pending: { readonly change: Uint8Array; readonly zxid: Zxid; readonly time: number }[] = []

  constructor(options: ZnodeTreeOptions = {}) {
    this.leader = znodeTree(options)
    this.follower = znodeTree(options)
    this.leader.leading!(this.context)
  }

  get context(): PrimaryContext {
    const { epoch, time, monotonic, tickMs } = this
    return { epoch, zxid: zxidOf(epoch, this.counter + 1), time, monotonic, tickMs, changeBytesMax: 1024 * 1024, random: () => 4 }
  }

  /** Prepared, and not applied before `flush`. */
  prepare(request: ZnodeRequest): Uint8Array {
    const { context } = this
    const change = this.leader.prepare!(this.leader.encodeRequest(request), context).slice()
    this.counter++
    this.#pending.push({ change, zxid: context.zxid, time: context.time })
    return change
  }

  unprepare(): void {
    this.leader.unprepare!()
    this.counter--
    this.#pending.pop()
  }

  /** Applies what is prepared, or the first `count` of it. */
  flush(count: number = this.#pending.length): ZnodeResult[] {
    const entries = this.#pending.splice(0, count)
    const results = this.leader.apply(batchOf(entries))
    const elsewhere = this.follower.apply(batchOf(entries))
    expect(elsewhere.map((result) => this.follower.encodeResult(result).slice())).toEqual(results.map((result) => this.leader.encodeResult(result).slice()))
    expect(this.follower.digest()).toBe(this.leader.digest())
    return [...results]
  }

  /** Nothing tells the replicas apart. */
  alike(): void {
    expect(this.follower.digest()).toBe(this.leader.digest())
    expect(stateOf(this.follower)).toEqual(stateOf(this.leader))
  }

  /** Prepared and applied. */
  ask(request: ZnodeRequest): ZnodeResult {
    this.prepare(request)
    return this.flush().at(-1)!
  }

  open(timeoutMs = 10_000, peer = 1): Holder {
    const result = this.ask({ kind: 'createSession', peer, timeoutMs, id: null })
    if (result.type !== 'session') throw new Error(`no session: ${result.type}`)
    return new Holder(this, result.session, result.zxid)
  }

  /** A tick of the leader's, and what it asked for, applied. */
  tick(ms: number): ZnodeRequest[] {
    const requests = this.ask4tick(ms)
    for (const request of requests) this.tryPrepare(request)
    this.flush()
    return requests
  }

  /** A tick of the leader's, and what it asks for, left alone. */
  ask4tick(ms: number): ZnodeRequest[] {
    this.time += ms
    this.monotonic += ms
    return [...(this.leader.tick!(this.context) as readonly ZnodeRequest[])]
  }

  /** As the shell does it: a refusal of what the leader asked by itself is no entry. */
  tryPrepare(request: ZnodeRequest): string | null {
    try {
      this.prepare(request)
      return null
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(AntiphonError)
      return (thrown as AntiphonError).refusal
    }
  }

  /** The leader loses its reign, with everything prepared, and draws another. */
  reignAnew(): void {
    this.#pending.length = 0
    this.leader.abandon!()
    this.epoch++
    this.counter = 0
    this.leader.leading!(this.context)
  }

  /** What is held at `from` is told to the leader. */
  hear(from: ZnodeTree, peer = 2): void {
    const note = from.note!()
    if (note !== null) this.leader.heard!(peer as PeerId, note, this.monotonic)
  }
}

/** A session, and whoever writes in its name. */
export class Holder {
  identities: readonly Identity[] = []
  readonly stage: Stage
  readonly id: SessionId
  attachment: Zxid

  constructor(stage: Stage, id: SessionId, attachment: Zxid) {
    this.stage = stage
    this.id = id
    this.attachment = attachment
  }

  request(operation: WriteOperation | MultiPart, local = false): ZnodeRequest {
    return {
      kind: 'write',
      session: this.id,
      attachment: this.attachment,
      local,
      identities: this.identities,
      operation: operation as WriteOperation,
    }
  }

  prepare(operation: WriteOperation | MultiPart): Uint8Array {
    return this.stage.prepare(this.request(operation))
  }

  /** Prepared and applied. */
  write(operation: WriteOperation | MultiPart, local = false): ZnodeResult {
    return this.stage.ask(this.request(operation, local))
  }

  /** All of them, none of which may fail, in one batch. */
  writeAll(operations: readonly (WriteOperation | MultiPart)[]): void {
    for (const operation of operations) this.prepare(operation)
    for (const [index, result] of this.stage.flush().entries()) expect(codeOf(result), JSON.stringify(operations[index])).toBe('OK')
  }

  /** `OK`, or the code of the error; of a multi the codes of its parts. */
  code(operation: WriteOperation | MultiPart, local = false): string {
    return codeOf(this.write(operation, local))
  }

  close(attachment: Zxid | null = this.attachment): ZnodeResult {
    return this.stage.ask({ kind: 'closeSession', session: this.id, attachment })
  }
}

export function codeOf(result: ZnodeResult): string {
  return result.type === 'multi' ? result.results.map(codeOfPart).join(' ') : result.type === 'error' ? result.error : 'OK'
}

function codeOfPart(result: OperationResult): string {
  return result.type === 'error' ? result.error : result.type
}

export function stateOf(machine: ZnodeTree): Uint8Array[] {
  return Array.from(machine.snapshot(), (chunk) => chunk.slice())
}
