/** One member of the ensemble: a replica in a process of its own, told by its parent what to do. */
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AntiphonError, formatZxid, start } from 'antiphon'
import type { FromMember, MemberArguments, Refused, ToMember } from './messages.ts'
import { audit, createRegistry, type Write } from './registry.ts'

const VIEW_EVERY_MS = 100

function tell(message: FromMember): void {
  // The parent may be gone already; `disconnect` ends this process then.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

function describe(error: unknown): { code: string; message: string; remedy: string; isRejected: boolean } {
  if (error instanceof AntiphonError)
    return { code: error.refusal ?? error.code, message: error.message, remedy: error.remedy, isRejected: error.outcome === 'rejected' }
  return { code: 'ERROR', message: error instanceof Error ? error.message : String(error), remedy: 'This is a bug in the example.', isRejected: false }
}

// Ctrl-C reaches the whole group: the parent decides.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})

const { id, folder, members }: MemberArguments = JSON.parse(process.argv[2] ?? '{}')
const registry = createRegistry()

try {
  const replica = await start({ id, folder, members, machines: { registry } })
  let role: { role: string; leader: number | null; epoch: number } = { role: 'looking', leader: null, epoch: 0 }
  let acknowledged: number[] = []
  let refused: Refused[] = []

  const view = (): void => tell({ kind: 'view', view: { ...role, applied: formatZxid(registry.zxid), writes: registry.state.writes } })
  const settle = (): void => {
    if (acknowledged.length + refused.length > 0) tell({ kind: 'settled', acknowledged, refused })
    acknowledged = []
    refused = []
  }
  /** Acknowledgements of one turn of the loop go to the parent together. */
  const settleSoon = (): void => {
    if (acknowledged.length + refused.length === 1) setImmediate(settle)
  }
  const put = (write: Write): void => {
    registry.dispatch.put(write).then(
      () => {
        acknowledged.push(write.id)
        settleSoon()
      },
      (error: unknown) => {
        refused.push({ id: write.id, ...describe(error) })
        settleSoon()
      },
    )
  }
  const close = async (): Promise<void> => {
    process.removeAllListeners('disconnect')
    clearInterval(timer)
    await replica.close()
    process.exit(0)
  }

  replica.on('role', (change) => {
    role = { role: change.role, leader: change.active ? change.leader : null, epoch: change.epoch }
    view()
  })
  replica.on('fault', (error) => {
    tell({ kind: 'failed', ...describe(error) })
    process.exitCode = 1
  })
  process.on('disconnect', () => {
    // The parent is gone, and cannot clean up any more.
    void replica.close().finally(() => rm(dirname(folder), { recursive: true, force: true }).finally(() => process.exit(1)))
  })
  process.on('message', (message: ToMember) => {
    if (message.kind === 'put') for (const write of message.writes) put(write)
    else if (message.kind === 'audit') tell({ kind: 'audited', request: message.request, audit: audit(registry.state, message.acknowledged) })
    else if (message.kind === 'digest')
      tell({ kind: 'digested', request: message.request, zxid: formatZxid(registry.zxid), digest: registry.digest().toString(16) })
    else void close()
  })
  const timer = setInterval(view, VIEW_EVERY_MS)
  tell({ kind: 'started' })
  await replica.ready()
  view()
  tell({ kind: 'ready' })
} catch (error) {
  tell({ kind: 'failed', ...describe(error) })
  process.exitCode = 1
  process.disconnect?.()
}
