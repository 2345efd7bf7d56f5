/** One process of a measured ensemble: a whole replica with TCP and a store on the disk, the settings' defaults. */
import { Replica } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { tcpTransport } from '@antiphon/transport-tcp'
import type { Medium } from '../bare/log.ts'
import { serve } from '../children.ts'
import { ClosedLoop } from '../closed-loop.ts'
import type { Figures, Load } from '../load.ts'
import { CountingMachine } from '../machine.ts'

export interface Start {
  readonly id: number
  readonly members: Readonly<Record<number, string>>
  readonly medium: Medium
  readonly folder: string
}

export interface State {
  readonly role: string
  readonly epoch: number
  readonly count: number
  readonly digest: string
}

let replica: Replica<{ counting: CountingMachine }> | null = null
let loop: ClosedLoop | null = null

serve(
  {
    async start({ id, members, medium, folder }: Start): Promise<void> {
      const started = await Replica.start({
        id,
        members,
        machines: { counting: new CountingMachine() },
        storage: medium === 'file' ? fileStorage({ folder }) : lmdbStorage({ folder }),
        transport: tcpTransport({ listen: members[id]! }),
      })
      replica = started
      loop = new ClosedLoop((request) => started.propose('counting', request))
    },
    ready: (timeoutMs: number): Promise<void> => replica!.ready({ timeoutMs }),
    measure: (load: Load): Promise<Figures> => loop!.measure(load),
    /** Behind everything that was acknowledged before the call. */
    async state(timeoutMs: number): Promise<State> {
      await replica!.read('linearizable', { timeoutMs })
      const { role, epoch } = replica!.status()
      const { counting } = replica!.machines
      return { role, epoch, count: counting.count, digest: counting.digest().toString(16) }
    },
  },
  async () => {
    await replica?.close()
  },
)
