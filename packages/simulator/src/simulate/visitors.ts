import { AntiphonError, invalidArgument, type PeerId, type StateMachine } from '@antiphon/ports'
import type { Operation } from '../linearizability.ts'
import type { Profile } from '../profile.ts'
import { SeededRandom } from '../random.ts'
import type { Guest, Life, World } from '../world.ts'
import type { ResolvedOptions } from './options.ts'
import { Recorder } from './recorder.ts'

const REQUEST_BYTES_MAX = 64 * 1024
/** Snapshots are taken often, so that they are restored. */
const SNAPSHOT_EVERY = 10

/** A user's machine in a simulated ensemble, with clients who ask it what the workload says. */
export class Visitors<Request, Result> implements Guest {
  readonly requestBytesMax: number = REQUEST_BYTES_MAX
  readonly recorder: Recorder<Request, Result>
  readonly operations: Operation<Request, Result>[] = []
  /** What the workload, or the encoding of its requests, threw. */
  broken: AntiphonError | null = null
  made = 0
  readonly #options: ResolvedOptions<Request, Result>
  readonly #requests: number
  readonly #random: SeededRandom
  #left: number
  #open = 0

  constructor(options: ResolvedOptions<Request, Result>, seed: number, requests: number) {
    this.#options = options
    this.#requests = requests
    this.#left = requests
    this.#random = new SeededRandom(seed, 9)
    this.recorder = new Recorder(options.machine)
  }

  adjust(profile: Profile): Profile {
    return {
      ...profile,
      requests: Math.min(profile.requests, this.#requests),
      burst: Math.min(profile.burst, 4),
      snapshotEveryEntries: Math.min(profile.snapshotEveryEntries, SNAPSHOT_EVERY),
    }
  }

  machineOf(member: PeerId, origin: number): StateMachine {
    return this.recorder.machineOf(member, origin) as StateMachine
  }

  get idle(): boolean {
    return this.#left <= 0 && this.#open === 0
  }

  start(world: World): void {
    for (let client = 1; client <= world.profile.clients; client++) this.#later(world, client)
  }

  stop(): void {
    this.#left = 0
  }

  settled(): void {
    this.recorder.settled()
  }

  #later(world: World, client: number): void {
    world.timeline.after(-Math.log(1 - this.#random.unit()) * world.profile.thinkMs, 0, () => this.#turn(world, client))
  }

  #turn(world: World, client: number): void {
    if (this.#left <= 0 || this.broken !== null) return
    const up = world.members.filter((member) => member.isUp)
    if (up.length === 0) return this.#later(world, client)
    const life = this.#random.pick(up).life!
    const burst = Math.min(this.#left, this.#random.between(1, world.profile.burst))
    this.#left -= burst
    let open = burst
    for (let i = 0; i < burst; i++)
      this.#ask(world, client, life, () => {
        if (--open === 0) this.#later(world, client)
      })
  }

  #ask(world: World, client: number, life: Life, done: () => void): void {
    let request: Request
    try {
      request = this.#options.workload(this.#random, ++this.made)
    } catch (error) {
      this.broken ??= new AntiphonError('INVALID_ARGUMENT', `the workload threw: ${String(error)}`, { remedy: 'Correct the workload.', cause: error })
      return done()
    }
    const { timeline } = world
    const invoked = timeline.now
    this.#open++
    let ended = false
    const end = (operation: Pick<Operation<Request, Result>, 'returned' | 'output'> | null): void => {
      if (ended) return
      ended = true
      this.#open--
      life.onDeath.delete(died)
      if (operation !== null) this.operations.push({ client, invoked, input: request, ...operation })
      done()
    }
    const died = (): void => end({ returned: Number.POSITIVE_INFINITY, output: null })
    life.onDeath.add(died)
    life.guest!.propose(request, { timeoutMs: world.profile.timeoutMs }).then(
      (result) => end({ returned: timeline.now, output: result as Result }),
      (error: unknown) => {
        if (!(error instanceof AntiphonError) || error.code === 'INVALID_ARGUMENT')
          this.broken ??= invalidArgument(`a request of the workload can not be encoded: ${String(error)}`, 'Correct the workload or encodeRequest().')
        const unknown = error instanceof AntiphonError && error.outcome === 'unknown'
        end(unknown ? { returned: Number.POSITIVE_INFINITY, output: null } : null)
      },
    )
  }
}
