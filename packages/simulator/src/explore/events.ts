/** What can happen next, in one number: kind, and up to three small arguments. */
export type Event = number

export const TICK = 1
/** The oldest write of a member becomes durable, and what it permits is said. */
export const FLUSH = 2
export const PROPOSE = 3
/** `b`: how many of the waiting writes survive, from the oldest on. */
export const CRASH = 4
export const START = 5
/** On link `a` in direction `b` from lane `c`. */
export const DELIVER = 6
/** End `b` of link `a` sees that the connection is gone; what it has not read is lost. */
export const NOTICE = 7
/** The same, of a connection that nobody has ended. */
export const LOSE = 8
export const PARTITION = 9
/** Link `a` has a connection again, and both ends have heard who the other is. */
export const CONNECT = 10
/** The oldest transfer of a member is streamed whole. */
export const STREAM = 11

export function eventOf(kind: number, a: number, b = 0, c = 0): Event {
  return kind | (a << 4) | (b << 8) | (c << 16)
}

export function kindOf(event: Event): number {
  return event & 15
}

export function firstOf(event: Event): number {
  return (event >>> 4) & 15
}

export function secondOf(event: Event): number {
  return (event >>> 8) & 255
}

export function thirdOf(event: Event): number {
  return event >>> 16
}
