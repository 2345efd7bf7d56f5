import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Child } from '../children.ts'
import type { Figures, Load } from '../load.ts'
import type { Medium } from './log.ts'

/** The bare pipeline: a leader and two followers as processes, TCP, a file with fdatasync or an LMDB environment in each, cumulative acknowledgements, and no protocol. What it gives is what the machine gives. */
export class BarePipeline {
  readonly #children: readonly Child[]

  private constructor(children: readonly Child[]) {
    this.#children = children
  }

  static async start(medium: Medium, folder: string): Promise<BarePipeline> {
    const children = [1, 2, 3].map(() => new Child(new URL('./process.js', import.meta.url)))
    const pipeline = new BarePipeline(children)
    try {
      const folders = await Promise.all(
        [1, 2, 3].map(async (number) => {
          const own = join(folder, `bare-${number}`)
          await mkdir(own, { recursive: true })
          return own
        }),
      )
      const ports = await Promise.all([1, 2].map((index) => children[index]!.call<number>('follow', { medium, folder: folders[index] })))
      await children[0]!.call('lead', { medium, folder: folders[0], ports })
      return pipeline
    } catch (error) {
      await pipeline.close()
      throw error
    }
  }

  measure(load: Load): Promise<Figures> {
    return this.#children[0]!.call('measure', load)
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()))
  }
}
