import type { PeerId } from '@antiphon/ports'
import type { SeededRandom } from './random.ts'
import type { Member } from './world.ts'

export interface Direction {
  readonly from: PeerId
  readonly to: PeerId
}

/** What is between two groups that do not hear each other; `bridge` belongs to both. */
export function twoGroups(members: readonly Member[], random: SeededRandom, bridge: PeerId | null): Direction[] {
  const side = new Map(members.map(({ id }) => [id, random.chance(0.5)]))
  return directions(members, (from, to) => from !== bridge && to !== bridge && side.get(from) !== side.get(to))
}

/** All but what is between neighbours, in some order of the members. An open ring has two ends. */
export function ring(members: readonly Member[], random: SeededRandom): Direction[] {
  const order = random.shuffle(members.map(({ id }) => id))
  const isOpen = order.length < 4 || random.chance(0.5)
  return directions(members, (from, to) => {
    const apart = Math.abs(order.indexOf(from) - order.indexOf(to))
    return apart !== 1 && (isOpen || apart !== order.length - 1)
  })
}

/** Everything that `id` says and hears. */
export function bothWays(members: readonly Member[], id: PeerId): Direction[] {
  return directions(members, (from, to) => from === id || to === id)
}

/** What `id` says, or what it hears: to or from everybody, or one alone. */
export function oneWay(members: readonly Member[], random: SeededRandom, id: PeerId): Direction[] {
  const others = members.filter((member) => member.id !== id)
  if (others.length === 0) return []
  const peer = random.chance(0.5) ? null : random.pick(others).id
  const says = random.chance(0.5)
  return directions(members, (from, to) => (says ? from : to) === id && (peer === null || (says ? to : from) === peer))
}

function directions(members: readonly Member[], isOne: (from: PeerId, to: PeerId) => boolean): Direction[] {
  const found: Direction[] = []
  for (const { id: from } of members) for (const { id: to } of members) if (from !== to && isOne(from, to)) found.push({ from, to })
  return found
}
