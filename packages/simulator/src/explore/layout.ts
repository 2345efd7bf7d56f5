/** A state of the whole ensemble: small numbers and numbers of interned contents, at these places. */
export type State = Int32Array

export const MEMBERS = 3
/** The two ends of each link, lower member first. */
export const LINKS: readonly (readonly [number, number])[] = [
  [0, 1],
  [0, 2],
  [1, 2],
]

/** Of a member. */
export const CORE = 0
export const DURABLE = 1
export const WAITING = 2
export const TRANSFERS = 3
/** Its clock, in ticks. */
export const TICKS = 4
/** How often it was started. */
export const STARTED = 5
export const MEMBER_SLOTS = 6

/** Of a link: how many connections there were. */
export const GENERATION = 0
/** Bit 0: the lower end is up; bit 1: the upper one; bit 2: what is sent is lost. */
export const ENDS = 1
export const BROKEN = 4
/** Four queues: in each direction the lanes control and entries. */
export const QUEUES = 2
export const LINK_SLOTS = 6

const FIRST_LINK: number = MEMBERS * MEMBER_SLOTS
const FIRST_COUNT: number = FIRST_LINK + LINKS.length * LINK_SLOTS

export const PROPOSALS: number = FIRST_COUNT
export const ELECTIONS: number = FIRST_COUNT + 1
export const CRASHES: number = FIRST_COUNT + 2
export const UNSYNCED: number = FIRST_COUNT + 3
export const LOSSES: number = FIRST_COUNT + 4
export const PARTITIONS: number = FIRST_COUNT + 5
/** What was committed and who has led: see `Ledgers`. */
export const LEDGER: number = FIRST_COUNT + 6
export const SLOTS: number = FIRST_COUNT + 7

export function memberAt(member: number): number {
  return member * MEMBER_SLOTS
}

export function linkAt(link: number): number {
  return FIRST_LINK + link * LINK_SLOTS
}

/** `direction` 0: from the lower member to the upper one. `lane` 0: control, 1: entries. */
export function queueAt(link: number, direction: number, lane: number): number {
  return FIRST_LINK + link * LINK_SLOTS + QUEUES + direction * 2 + lane
}

export function linkBetween(a: number, b: number): number {
  return a + b - 1
}
