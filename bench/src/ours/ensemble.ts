import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Medium } from '../bare/log.ts'
import { Child } from '../children.ts'
import type { Figures, Load } from '../load.ts'
import type { Start, State } from './process.ts'

const IDS = [1, 2, 3]
const TIMEOUT_MS = 30_000

/** Three replicas as processes on this machine. */
export class Ensemble {
  readonly #children: readonly Child[]
  #leader = 0
  #epoch = 0

  private constructor(children: readonly Child[]) {
    this.#children = children
  }

  static async start(medium: Medium, folder: string): Promise<Ensemble> {
    const ports = await freePorts(IDS.length)
    const members = Object.fromEntries(IDS.map((id, index) => [id, `127.0.0.1:${ports[index]}`]))
    const ensemble = new Ensemble(IDS.map(() => new Child(new URL('./process.js', import.meta.url))))
    try {
      await Promise.all(
        IDS.map(async (id, index) => {
          const own = join(folder, `replica-${id}`)
          await mkdir(own, { recursive: true })
          await ensemble.#children[index]!.call('start', { id, members, medium, folder: own } satisfies Start)
        }),
      )
      await Promise.all(ensemble.#children.map((child) => child.call('ready', TIMEOUT_MS)))
      const states = await ensemble.#states()
      ensemble.#leader = states.findIndex(({ role }) => role === 'leading')
      ensemble.#epoch = states[ensemble.#leader]!.epoch
      return ensemble
    } catch (error) {
      await ensemble.close()
      throw error
    }
  }

  /** Proposals enter at the leader, or at a follower. A change of the leader meanwhile would measure something else: it is an error. */
  async measure(entering: 'leader' | 'follower', load: Load): Promise<Figures> {
    const index = entering === 'leader' ? this.#leader : (this.#leader + 1) % IDS.length
    const figures = await this.#children[index]!.call<Figures>('measure', load)
    const states = await this.#states()
    if (states[this.#leader]!.role !== 'leading' || states.some(({ epoch }) => epoch !== this.#epoch))
      throw new Error('the leader has changed during a measurement')
    if (states.some(({ digest }) => digest !== states[0]!.digest))
      throw new Error(`the replicas' states differ: ${states.map(({ digest }) => digest).join(', ')}`)
    return figures
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()))
  }

  #states(): Promise<State[]> {
    return Promise.all(this.#children.map((child) => child.call<State>('state', TIMEOUT_MS)))
  }
}

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', () => resolve(server))
      })
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
