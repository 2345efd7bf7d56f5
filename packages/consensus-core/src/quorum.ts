import type { Configuration, Member, PeerId } from './types.ts'

/**
 * A set is a quorum when it has more than half of the weight in more than half of the groups; groups without weight are left out. With one group
 * and weights of 1 that is a plain majority. Any two quorums share a voter.
 * Source: ZooKeeper's hierarchical quorums.
 */
export function isQuorum(configuration: Configuration, has: (id: PeerId) => boolean): boolean {
  let group = -1
  let total = 0
  let held = 0
  for (const member of configuration.members) {
    if (member.role !== 'voter' || member.weight === 0) continue
    if (group === -1) group = member.group
    else if (member.group !== group) return isQuorumOfGroups(configuration, has)
    total += member.weight
    if (has(member.id)) held += member.weight
  }
  return held * 2 > total
}

function isQuorumOfGroups(configuration: Configuration, has: (id: PeerId) => boolean): boolean {
  const total = new Map<number, number>()
  const held = new Map<number, number>()
  for (const member of configuration.members) {
    if (member.role !== 'voter' || member.weight === 0) continue
    total.set(member.group, (total.get(member.group) ?? 0) + member.weight)
    if (has(member.id)) held.set(member.group, (held.get(member.group) ?? 0) + member.weight)
  }
  let groupsHeld = 0
  for (const [group, weight] of held) if (weight * 2 > total.get(group)!) groupsHeld++
  return groupsHeld * 2 > total.size
}

export function memberOf(configuration: Configuration, id: PeerId): Member | undefined {
  for (const member of configuration.members) if (member.id === id) return member
  return undefined
}
