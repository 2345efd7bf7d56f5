import type { Effects, Outgoing, Write } from './effects.ts'
import type { Input } from './input.ts'
import type { Message, StagedPart } from './messages.ts'
import type { Run } from './run.ts'
import { formatZxid as z } from './zxid.ts'

// One line of text per message, input and effect, for scenario scripts, traces and logs.

function run(of: Run): string {
  return of.entries === 1 ? z(of.first) : `${z(of.first)}..${z(of.last)}`
}

function part({ zxid, chunks, log }: StagedPart): string {
  return `${z(zxid)} ${chunks} chunks${log === null ? '' : ` up to ${z(log.last)}`}`
}

export function describeMessage(message: Message): string {
  switch (message.kind) {
    case 'IDENTITY':
      return `IDENTITY ${message.ensembleId?.slice(0, 8) ?? (message.empty ? 'empty' : 'unfounded')}`
    case 'FOUNDING':
      return `FOUNDING ${message.founding.ensembleId.slice(0, 8)}`
    case 'VOTE':
      return `VOTE ${message.state} for ${message.leader === 0 ? 'nobody' : message.leader} at ${message.epoch}/${z(message.zxid)} round ${message.round}`
    case 'CEPOCH':
      return `CEPOCH accepted ${message.accepted}`
    case 'NEWEPOCH':
      return `NEWEPOCH ${message.epoch}`
    case 'ACK-E':
      return `ACK-E ${message.epoch} current ${message.current} last ${z(message.last)}${message.quarantined ? ', quarantined' : ''}${message.staged === null ? '' : ` staged ${part(message.staged)}`}`
    case 'TRUNC':
      return `TRUNC to ${z(message.to)}`
    case 'DIFF':
      return `DIFF after ${message.staged ? 'staged ' : ''}${z(message.after)}`
    case 'SNAP':
      return `SNAP ${message.transfer} at ${z(message.meta.zxid)}${message.chunks > 0 ? ` from chunk ${message.chunks}` : ''}`
    case 'CHUNK':
      return `CHUNK ${message.transfer}/${message.index}${message.last ? ' last' : ''}`
    case 'STORED':
      return `STORED ${message.transfer}/${message.chunks}`
    case 'RECEIVED':
      return `RECEIVED ${message.transfer} ${message.ok ? `up to ${z(message.upTo)}` : 'failed'}`
    case 'NEWLEADER':
      return `NEWLEADER ${message.epoch} last ${z(message.last)}`
    case 'ACK-LD':
      return `ACK-LD ${message.epoch} last ${z(message.last)}`
    case 'COMMIT-LD':
      return `COMMIT-LD ${message.epoch} committed ${z(message.committed)}`
    case 'PROPOSE':
      return `PROPOSE ${run(message.run)} committed ${z(message.committed)}`
    case 'ACK':
      return `ACK ${z(message.upTo)}`
    case 'COMMIT':
      return `COMMIT ${z(message.committed)}`
    case 'PING':
      return `PING ${message.epoch} committed ${z(message.committed)}${message.round > 0 ? ` round ${message.round}` : ''}`
    case 'PONG':
      return `PONG ${message.epoch}${message.round > 0 ? ` round ${message.round}` : ''}`
    case 'READ':
      return `READ ${message.number}`
    case 'READ-POINT':
      return `READ-POINT ${message.number} at ${z(message.zxid)}`
    case 'REGISTER':
      return `REGISTER ${message.nonce}`
    case 'REQUESTS':
      return `REQUESTS of ${z(message.origin)} from ${message.first}, ${message.requests.length} of them`
    case 'RESEND':
      return `RESEND ${z(message.origin)} from ${message.next}`
    case 'RETIRED':
      return `RETIRED ${z(message.origin)}`
    case 'DIGEST':
      return `DIGEST ${message.digest} at ${z(message.zxid)}`
    case 'VERDICT':
      return `VERDICT ${message.digest} at ${z(message.zxid)}`
    case 'REBUILD':
      return `REBUILD behind ${z(message.after)}, against ${message.digest} at ${z(message.zxid)}`
  }
}

export function describeInput(input: Input): string {
  switch (input.kind) {
    case 'tick':
      return 'tick'
    case 'message':
      return `from ${input.from}: ${describeMessage(input.message)}`
    case 'propose':
      return `propose ${run(input.run)}`
    case 'read':
      return `read ${input.number}`
    case 'persisted':
      return `persisted ${input.ticket}`
    case 'transferred':
      return `transferred ${input.transfer} ${input.ok ? `up to ${z(input.upTo)}` : 'failed'}`
    case 'staged':
      return `staged ${input.transfer} ${input.ok ? `as generation ${input.generation}` : 'failed'}`
    case 'applied':
      return `applied ${z(input.upTo)}`
    case 'digest':
      return `digest ${input.digest} at ${z(input.zxid)}`
    case 'rebuilt':
      return input.snapshot === null ? `rebuild ${input.transfer} failed` : `rebuilt at ${z(input.snapshot.zxid)}`
    case 'compacted':
      return `compacted to ${z(input.start)}, snapshot ${z(input.snapshot.zxid)}`
    case 'connection':
      return `${input.up ? 'connected to' : 'disconnected from'} ${input.peer}`
  }
}

export function describeWrite(write: Write): string {
  const parts: string[] = []
  if (write.founding !== null) parts.push('founding')
  if (write.install !== null) parts.push(`install generation ${write.install}`)
  if (write.truncateTo !== null) parts.push(`truncate to ${z(write.truncateTo.zxid)}`)
  for (const appended of write.append) parts.push(`append ${run(appended)}`)
  if (write.epochs !== null) parts.push(`epochs accepted ${write.epochs.accepted} current ${write.epochs.current}`)
  const then = write.afterwards.map((outgoing) => `${describeMessage(outgoing.message)} to ${outgoing.to}`)
  return `write ${write.ticket}: ${parts.join(', ')}${then.length > 0 ? ` | then ${then.join(', ')}` : ''}`
}

function describeOutgoing({ to, message }: Outgoing): string {
  return `to ${to}: ${describeMessage(message)}`
}

/** Every effect of a step, a line each, in the order in which they are carried out. */
export function describeEffects(effects: Effects): string[] {
  const lines: string[] = []
  for (const generation of effects.discards) lines.push(`discard generation ${generation}`)
  for (const transfer of effects.abandons) lines.push(`abandon transfer ${transfer}`)
  for (const staged of effects.stagedAppends) lines.push(`staged append to ${staged.generation}: ${staged.runs.map(run).join(', ')}`)
  for (const write of effects.writes) lines.push(describeWrite(write))
  for (const outgoing of effects.sends) lines.push(describeOutgoing(outgoing))
  for (const transfer of effects.transfers)
    lines.push(
      `transfer ${transfer.transfer} to ${transfer.to}: ${transfer.mode === 'snap' ? `snapshot${transfer.resume === null ? '' : ` ${part(transfer.resume)}`}` : `entries (${z(transfer.after)}, ${z(transfer.upTo)}]`}`,
    )
  for (const transfer of effects.cancels) lines.push(`cancel transfer ${transfer}`)
  for (const receive of effects.receives)
    lines.push(
      `receive transfer ${receive.transfer} at ${z(receive.meta.zxid)}${receive.chunks > 0 ? ` from chunk ${receive.chunks}` : ''}${receive.rebuild ? ' as the state' : ''}`,
    )
  for (const close of effects.closes) lines.push(`close ${close.peer}: ${close.reason}`)
  for (const refusal of effects.refusals) lines.push(`refuse ${refusal.peer}: ${refusal.error.code}: ${refusal.error.message}`)
  if (effects.commitTo !== null) lines.push(`commit to ${z(effects.commitTo)}`)
  for (const grant of effects.readable) lines.push(grant.zxid === null ? `read ${grant.number} not granted` : `read ${grant.number} at ${z(grant.zxid)}`)
  if (effects.quarantine !== null)
    lines.push(`quarantine: ${effects.quarantine.digest} at ${z(effects.quarantine.zxid)}, a quorum has ${effects.quarantine.quorum}`)
  if (effects.disputed !== null) lines.push(`disputed: the state at ${z(effects.disputed)}`)
  if (effects.snapshotDue !== null) lines.push(`a snapshot is due, at ${z(effects.snapshotDue)} or behind`)
  if (effects.role !== null)
    lines.push(
      `role ${effects.role.role}${effects.role.leader === null ? '' : ` of ${effects.role.leader}`} epoch ${effects.role.epoch}${effects.role.active ? ' active' : ''}`,
    )
  if (effects.fault !== null) lines.push(`fault ${effects.fault.code}: ${effects.fault.message}`)
  return lines
}
