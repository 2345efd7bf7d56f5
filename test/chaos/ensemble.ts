import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { newAuthority } from '@antiphon/cli'
import type { Janitor } from './janitor.ts'
import { Leadership } from './leadership.ts'
import type { Heal, Links, LinksName } from './links.ts'
import { openLinks } from './open-links.ts'
import { writeProgram } from './program.ts'
import type { Answer, Ask, FromMember, StartArgument } from './protocol.ts'
import { SmallDisk } from './small-disk.ts'
import type { StoreName } from './stores.ts'

export const IDS: readonly number[] = [1, 2, 3, 4, 5]
/** Its folder lies on a disk that can be filled up, where mounting is permitted. */
const SMALL_DISK_ID = 5
/** Of LMDB, room for a map that grows. */
const SMALL_DISK_MEBIBYTES = 96
const SNAPSHOT_EVERY_ENTRIES = 300

/** One life of a member's process. */
interface Life {
  readonly number: number
  readonly process: ChildProcess
  readonly waiting: Map<number, (answer: Answer) => void>
  readonly ended: Promise<void>
  killed: boolean
  paused: number
  /** Its disk was full for a time of this life: it may stop because of that. */
  diskFilled: boolean
  fault: string | null
}

export interface EnsembleOptions {
  /** Everything that it makes lies in here. */
  readonly folder: string
  readonly store: StoreName
  readonly links: LinksName
  readonly janitor: Janitor
  say(line: string): void
  readonly snapshotEveryEntries?: number
  /** Called with its folder when a killed process has ended, before the next begins: what else a crash takes. */
  readonly afterKill?: (folder: string) => Promise<void>
}

interface Member {
  readonly id: number
  readonly start: StartArgument
  life: Life | null
  /** Faults that keep it from running. */
  downs: number
}

/** Five members as processes. Each fault is a method whose return heals it. */
export class Ensemble {
  readonly links: Links
  readonly leadership: Leadership
  /** What no fault of ours explains. */
  readonly failures: string[] = []
  readonly smallDisk: SmallDisk | null
  readonly #members: ReadonlyMap<number, Member>
  readonly #options: EnsembleOptions
  /** Lies in the run's folder: by that the janitor knows the processes. */
  readonly #program: string
  /** What faults have done to processes. */
  readonly felt: { killed: number; stopped: number; stoppedByFullDisk: number } = { killed: 0, stopped: 0, stoppedByFullDisk: 0 }
  #diskFull = 0
  #calls = 0
  #lives = 0
  #closing = false

  private constructor(links: Links, smallDisk: SmallDisk | null, members: readonly Member[], program: string, options: EnsembleOptions) {
    this.#program = program
    this.links = links
    this.smallDisk = smallDisk
    this.#members = new Map(members.map((member) => [member.id, member]))
    this.#options = options
    this.leadership = new Leadership(options.say)
  }

  static async start(options: EnsembleOptions): Promise<Ensemble> {
    const { folder, store, say } = options
    const authority = await newAuthority()
    const program = await writeProgram(folder)
    const links = await openLinks(options.links, IDS, say)
    try {
      const smallDisk = await SmallDisk.mount(folder, SMALL_DISK_MEBIBYTES, say)
      const members: Member[] = []
      for (const id of IDS) {
        const own = id === SMALL_DISK_ID && smallDisk !== null ? smallDisk.folder : join(folder, `member-${id}`)
        await mkdir(own, { recursive: true })
        const tls = await authority.member(id)
        const snapshotEveryEntries = options.snapshotEveryEntries ?? SNAPSHOT_EVERY_ENTRIES
        const start = { id, members: links.addressesFor(id), listen: links.listenAt(id), folder: own, store, tls, snapshotEveryEntries }
        members.push({ id, start, life: null, downs: 0 })
      }
      const ensemble = new Ensemble(links, smallDisk, members, program, options)
      for (const id of IDS) ensemble.#ensure(id)
      return ensemble
    } catch (error) {
      await links.close()
      throw error
    }
  }

  /** Those that could answer. */
  running(): number[] {
    return IDS.filter((id) => this.#lifeOf(id)?.paused === 0)
  }

  paused(): number[] {
    return IDS.filter((id) => (this.#lifeOf(id)?.paused ?? 0) > 0)
  }

  /** Tells one life of a member from the next; null of a dead one. */
  lifeOf(id: number): number | null {
    return this.#lifeOf(id)?.number ?? null
  }

  /** A dead process answers `unknown`. */
  call(id: number, ask: Ask): Promise<Answer> {
    const life = this.#lifeOf(id)
    return life === null ? Promise.resolve(gone('rejected')) : this.#ask(life, ask)
  }

  /** SIGKILL; it is started again when the last fault that keeps it down heals. */
  kill(id: number): Heal {
    const member = this.#members.get(id)!
    member.downs++
    if (this.#lifeOf(id) !== null) this.felt.killed++
    this.#end(member)
    return () => {
      member.downs--
      this.#ensure(id)
    }
  }

  /** SIGSTOP until SIGCONT; a process that dies meanwhile is not stopped when it is started again. */
  pause(id: number): Heal {
    const life = this.#lifeOf(id)
    if (life === null) return () => {}
    life.paused++
    this.felt.stopped++
    life.process.kill('SIGSTOP')
    this.leadership.gone(id)
    return () => {
      if (--life.paused > 0) return
      life.process.kill('SIGCONT')
      void this.#ask(life, { command: 'role', argument: null }).then((answer) => {
        if ('value' in answer && this.#lifeOf(id) === life && life.paused === 0) this.leadership.told(id, answer.value as never)
      })
    }
  }

  async fillDisk(): Promise<Heal> {
    const disk = this.smallDisk!
    const life = this.#lifeOf(SMALL_DISK_ID)
    if (life !== null) life.diskFilled = true
    this.#diskFull++
    await disk.fill()
    return async () => {
      this.#diskFull--
      if (this.#diskFull > 0) return
      await disk.free()
      this.#ensure(SMALL_DISK_ID)
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    await Promise.all(
      [...this.#members.values()].map(async (member) => {
        const life = member.life
        this.#end(member)
        await life?.ended
      }),
    )
    await this.links.close()
    await this.smallDisk?.unmount()
  }

  #lifeOf(id: number): Life | null {
    const life = this.#members.get(id)!.life
    return life === null || life.killed ? null : life
  }

  #end({ id, life }: Member): void {
    if (life === null || life.killed) return
    life.killed = true
    this.links.setTarget(id, null)
    this.leadership.gone(id)
    life.process.kill('SIGKILL')
  }

  /** Runs it, if nothing keeps it down. */
  #ensure(id: number): void {
    const member = this.#members.get(id)!
    if (this.#closing || member.life !== null || member.downs > 0 || (id === SMALL_DISK_ID && this.#diskFull > 0)) return
    const [command, ...rest] = this.links.commandFor(id, [process.execPath, this.#program])
    const child = spawn(command!, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    if (child.pid !== undefined) this.#options.janitor.watch(child.pid)
    const waiting = new Map<number, (answer: Answer) => void>()
    const ended = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        void this.#ended(member, life, signal ?? `status ${code}`).finally(resolve)
      })
    })
    const life: Life = { number: ++this.#lives, process: child, waiting, ended, killed: false, paused: 0, diskFilled: false, fault: null }
    member.life = life
    child.on('error', () => {})
    child.on('message', (message: FromMember) => this.#heard(id, life, message))
    void this.#ask(life, { command: 'start', argument: member.start }).then((answer) => {
      if ('value' in answer && !life.killed) this.links.setTarget(id, (answer.value as { address: string }).address)
    })
  }

  #heard(id: number, life: Life, message: FromMember): void {
    if (message.kind === 'answer') {
      life.waiting.get(message.number)?.(message.answer)
      life.waiting.delete(message.number)
    } else if (message.kind === 'fault') life.fault = `${message.code}: ${message.message}`
    else if (!life.killed && life.paused === 0) this.leadership.told(id, message)
  }

  #ask(life: Life, ask: Ask): Promise<Answer> {
    const number = ++this.#calls
    return new Promise((resolve) => {
      life.waiting.set(number, resolve)
      // What is not sent is answered when the process ends, which is why it was not.
      life.process.send({ number, ask }, () => {})
    })
  }

  async #ended(member: Member, life: Life, how: string): Promise<void> {
    const { killed } = life
    for (const resolve of life.waiting.values()) resolve(gone('unknown'))
    life.waiting.clear()
    life.killed = true
    if (!killed) {
      this.links.setTarget(member.id, null)
      this.leadership.gone(member.id)
      if (life.diskFilled && life.fault?.startsWith('DISK_FULL:')) {
        this.felt.stoppedByFullDisk++
        this.#options.say(`member ${member.id} has stopped: its disk is full`)
      } else this.failures.push(`member ${member.id} ended by itself (${how}${life.fault === null ? '' : `, ${life.fault}`})`)
    }
    if (killed && !this.#closing) await this.#options.afterKill?.(member.start.folder)
    member.life = null
    this.#ensure(member.id)
  }
}

function gone(outcome: 'rejected' | 'unknown'): Answer {
  return { code: 'GONE', outcome, message: 'the process has ended' }
}
