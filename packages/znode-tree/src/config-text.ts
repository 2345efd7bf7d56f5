import type { EnsembleView } from '@antiphon/ports'

/** Host and port, alone or in a URL. */
const PLACE = /^(?:\w+:\/\/)?(\[[^\]]+\]|[^/:[\]]+):(\d+)(?:\/.*)?$/

/**
 * What `/zookeeper/config` holds in an ensemble, in ZooKeeper's format (dynamic configuration). One port of ours carries what two of ZooKeeper's do, so it stands in both places. Groups and weights are told
 * where they matter. An address that is no host and port stands as it is.
 */
export function configText({ version, members }: EnsembleView): string {
  const lines = members.map(({ id, role, address }) => `server.${id}=${place(address)}:${role === 'voter' ? 'participant' : 'observer'}`)
  const voters = members.filter(({ role }) => role === 'voter')
  const groups = new Set(voters.map(({ group }) => group))
  if (groups.size > 1 || voters.some(({ weight }) => weight !== 1)) {
    for (const group of groups) lines.push(`group.${group}=${voters.flatMap((voter) => (voter.group === group ? [voter.id] : [])).join(':')}`)
    for (const { id, weight } of voters) lines.push(`weight.${id}=${weight}`)
  }
  return [...lines, `version=${version.toString(16)}`].join('\n')
}

function place(address: string): string {
  const found = PLACE.exec(address)
  return found === null ? address : `${found[1]}:${found[2]}:${found[2]}`
}
