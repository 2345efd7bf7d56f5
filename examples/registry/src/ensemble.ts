import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FromMember, MemberArguments, MemberView, Refused, ToMember } from './messages.ts'
import type { Audit } from './registry.ts'

const PROGRAM = fileURLToPath(new URL('./member.js', import.meta.url))
const CLOSE_MS = 3000

export interface Listener {
  /** What a member says of itself, and whenever its role changes. */
  onView(id: number, view: MemberView): void
  onSettled(acknowledged: readonly number[], refused: readonly Refused[]): void
  /** A member ended, or could not begin, though nobody asked for it. */
  onFailed(id: number, why: string): void
}

interface Member {
  process: ChildProcess
  /** Ends as it should: it was told to, or killed. */
  isEnding: boolean
  ended: Promise<void>
  isReady: boolean
  view: MemberView | null
}

/** Three processes on this machine, with their files in a temporary folder. */
export class Ensemble {
  readonly ids: readonly number[] = [1, 2, 3]
  readonly #listener: Listener
  readonly #folder: string
  readonly #addresses: Readonly<Record<number, string>>
  readonly #members = new Map<number, Member>()
  readonly #answers = new Map<number, { readonly id: number; resolve(message: FromMember): void; reject(error: Error): void }>()
  #requests = 0

  static async start(listener: Listener): Promise<Ensemble> {
    const folder = await mkdtemp(join(tmpdir(), 'antiphon-registry-'))
    const ports = await freePorts(3)
    const ensemble = new Ensemble(listener, folder, Object.fromEntries(ports.map((port, index) => [index + 1, `127.0.0.1:${port}`])))
    for (const id of ensemble.ids) ensemble.startMember(id)
    return ensemble
  }

  private constructor(listener: Listener, folder: string, addresses: Readonly<Record<number, string>>) {
    this.#listener = listener
    this.#folder = folder
    this.#addresses = addresses
  }

  /** Running, and caught up with the leader at some time since it was started. */
  isReady(id: number): boolean {
    return this.isRunning(id) && this.#members.get(id)?.isReady === true
  }

  view(id: number): MemberView | null {
    return this.#members.get(id)?.view ?? null
  }

  isRunning(id: number): boolean {
    return this.#members.get(id)?.isEnding === false
  }

  /** The leader as a majority of the running members has it. */
  get leader(): number | null {
    for (const id of this.ids) {
      const followers = this.ids.filter((other) => this.isRunning(other) && this.view(other)?.leader === id)
      if (followers.length * 2 > this.ids.length && this.isRunning(id)) return id
    }
    return null
  }

  startMember(id: number): void {
    const args: MemberArguments = { id, folder: join(this.#folder, String(id)), members: this.#addresses }
    const child = fork(PROGRAM, [JSON.stringify(args)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const member: Member = { process: child, isEnding: false, ended, isReady: false, view: null }
    this.#members.set(id, member)
    child.on('error', (error) => this.#listener.onFailed(id, error.message))
    child.on('exit', (code, signal) => {
      if (!member.isEnding) this.#listener.onFailed(id, `it ended by itself (${signal ?? code})`)
      for (const answer of this.#answers.values()) if (answer.id === id) answer.reject(new Error(`replica ${id} ended before it answered`))
    })
    child.on('message', (message: FromMember) => {
      if (message.kind === 'ready') member.isReady = true
      else if (message.kind === 'view') this.#onView(id, member, message.view)
      else if (message.kind === 'settled') this.#listener.onSettled(message.acknowledged, message.refused)
      else if (message.kind === 'failed') this.#listener.onFailed(id, `${message.code}: ${message.message}. ${message.remedy}`)
      else if (message.kind !== 'started') this.#answers.get(message.request)?.resolve(message)
    })
  }

  put(id: number, writes: Extract<ToMember, { kind: 'put' }>['writes']): void {
    this.#send(id, { kind: 'put', writes })
  }

  async audit(id: number, acknowledged: readonly (readonly [number, number])[]): Promise<Audit> {
    const { audit } = await this.#ask<'audited'>(id, (request) => ({ kind: 'audit', request, acknowledged }))
    return audit
  }

  async digest(id: number): Promise<{ zxid: string; digest: string }> {
    return this.#ask<'digested'>(id, (request) => ({ kind: 'digest', request }))
  }

  async kill(id: number): Promise<void> {
    const member = this.#member(id)
    member.isEnding = true
    member.process.kill('SIGKILL')
    await member.ended
  }

  /** Ends every process and removes the folder. */
  async close(): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => this.#end(member)))
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 })
  }

  async #end(member: Member): Promise<void> {
    const { process: child } = member
    if (child.exitCode !== null || child.signalCode !== null) return
    member.isEnding = true
    if (child.connected) child.send({ kind: 'close' } satisfies ToMember, () => {})
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
    await member.ended
    clearTimeout(timer)
  }

  #onView(id: number, member: Member, view: MemberView): void {
    member.view = view
    if (!member.isEnding) this.#listener.onView(id, view)
  }

  #member(id: number): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`there is no member ${id}`)
    return member
  }

  #send(id: number, message: ToMember): void {
    const { process: child } = this.#member(id)
    if (child.connected) child.send(message, () => {})
  }

  #ask<Kind extends 'audited' | 'digested'>(id: number, message: (request: number) => ToMember): Promise<Extract<FromMember, { kind: Kind }>> {
    const request = ++this.#requests
    return new Promise<FromMember>((resolve, reject) => {
      this.#answers.set(request, { id, resolve, reject })
      if (this.#member(id).process.connected) this.#send(id, message(request))
      else reject(new Error(`replica ${id} does not run`))
    })
      .then((answer) => answer as Extract<FromMember, { kind: Kind }>)
      .finally(() => this.#answers.delete(request))
  }
}

/** Ports that nobody listens on at the moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
