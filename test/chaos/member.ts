/** One member as a process: a whole replica over TLS, which answers its parent's commands and ends with it. A replica that stops by itself says why, and the process ends with status 3. */
import { AntiphonError } from '@antiphon/ports'
import { Replica } from '@antiphon/replica'
import { tcpTransport } from '@antiphon/transport-tcp'
import { ChaosMachine } from './machine.ts'
import type { Answer, Ask, FromMember, Standing, StartArgument } from './protocol.ts'
import { storeIn } from './stores.ts'

const STOPPED = 3

/** Of the first command, `start`; the others wait for it. */
let running: Promise<Replica<{ chaos: ChaosMachine }>> | null = null
let standing: Standing = { role: 'starting', active: false, epoch: 0 }

function tell(message: FromMember, told?: () => void): void {
  process.send?.(message, () => told?.())
}

function faulted(error: unknown): void {
  const { code, message } = error instanceof AntiphonError ? error : { code: 'UNEXPECTED', message: String(error) }
  tell({ kind: 'fault', code, message }, () => process.exit(STOPPED))
}

async function start({ id, members, listen, folder, store, tls, snapshotEveryEntries }: StartArgument): Promise<{ address: string }> {
  const transport = tcpTransport({ listen, tls })
  try {
    running = Replica.start({
      id,
      members,
      machines: { chaos: new ChaosMachine() },
      storage: storeIn(store, folder),
      transport,
      snapshotEveryEntries,
    })
    const replica = await running
    replica.on('role', ({ role, active, epoch }) => {
      standing = { role, active, epoch }
      tell({ kind: 'standing', ...standing })
    })
    replica.on('fault', faulted)
    const address = transport.address()
    if (address === null) throw new Error('the transport tells no address')
    return { address }
  } catch (error) {
    faulted(error)
    throw error
  }
}

async function obey(ask: Ask): Promise<Extract<Answer, { value: unknown }>['value']> {
  if (ask.command === 'start') return start(ask.argument)
  const replica = await running!
  const { chaos } = replica.machines
  switch (ask.command) {
    case 'propose':
      return replica.propose('chaos', ask.argument.request, { timeoutMs: ask.argument.timeoutMs })
    case 'read':
      await replica.read('linearizable', { timeoutMs: ask.argument.timeoutMs })
      return chaos.read(ask.argument.key)
    case 'look':
      await replica.read('local')
      return chaos.held(ask.argument.key)
    case 'state':
      await replica.read('linearizable', { timeoutMs: ask.argument.timeoutMs })
      return { digest: chaos.digest().toString(16), state: JSON.stringify(chaos.state()) }
    case 'role':
      return standing
  }
}

process.on('message', ({ number, ask }: { number: number; ask: Ask }) => {
  const answer = (each: Answer): void => tell({ kind: 'answer', number, answer: each })
  obey(ask).then(
    (value) => answer({ value, role: standing.role }),
    (error: unknown) => {
      const { code, outcome, message } = error instanceof AntiphonError ? error : { code: 'UNEXPECTED', outcome: 'unknown' as const, message: String(error) }
      answer({ code, outcome, message })
    },
  )
})
process.on('disconnect', () => process.exit(0))
