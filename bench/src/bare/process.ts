/** One process of the bare pipeline. */
import { serve } from '../children.ts'
import { ClosedLoop } from '../closed-loop.ts'
import type { Figures, Load } from '../load.ts'
import { BareFollower } from './follower.ts'
import { BareLeader } from './leader.ts'
import type { Medium } from './log.ts'

let leader: BareLeader | null = null
let follower: BareFollower | null = null
let loop: ClosedLoop | null = null

serve(
  {
    async follow(argument: { medium: Medium; folder: string }): Promise<number> {
      follower = await BareFollower.start(argument.medium, argument.folder)
      return follower.port
    },
    async lead(argument: { medium: Medium; folder: string; ports: readonly number[] }): Promise<void> {
      const started = await BareLeader.start(argument.medium, argument.folder, argument.ports)
      leader = started
      loop = new ClosedLoop((record) => started.append(record))
    },
    measure: (load: Load): Promise<Figures> => loop!.measure(load),
  },
  async () => {
    await leader?.close()
    await follower?.close()
  },
)
