/** One process of the bare pipeline. */
import { serve } from '../children.ts'
import type { Figures, Load } from '../load.ts'
import { BareFollower } from './follower.ts'
import { BareLeader } from './leader.ts'

let leader: BareLeader | null = null
let follower: BareFollower | null = null

serve(
  {
    async follow(argument: { folder: string }): Promise<number> {
      follower = await BareFollower.start(argument.folder)
      return follower.port
    },
    async lead(argument: { folder: string; ports: readonly number[] }): Promise<void> {
      leader = await BareLeader.start(argument.folder, argument.ports)
    },
    measure: (load: Load): Promise<Figures> => leader!.measure(load),
  },
  async () => {
    await leader?.close()
    await follower?.close()
  },
)
