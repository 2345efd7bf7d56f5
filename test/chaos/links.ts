export const LINKS = ['auto', 'namespaces', 'proxy'] as const
export type LinksName = (typeof LINKS)[number]

export type Heal = () => void | Promise<void>
export type Way = readonly [from: number, to: number]

/** What faults have done to what members sent, so far. */
export interface LinkEffects {
  /** Connections that a cut has ended. */
  readonly connectionsEnded: number
  /** Packets that were dropped; through proxies, pieces that were held back. */
  readonly held: number
  /** Times that a packet, or a piece, had to wait on a slow link. */
  readonly slowed: number
}

/** The network between the members' processes. Faults overlap: a link works when the last of its faults has healed. */
export interface Links {
  readonly name: Exclude<LinksName, 'auto'>
  /** The members' addresses as `from` must dial them. */
  addressesFor(from: number): Record<number, string>
  listenAt(id: number): string
  /** A command line that runs `command` as this member: one process, the command's own. */
  commandFor(id: number, command: readonly string[]): readonly string[]
  /** Where a member listens; null: nowhere. */
  setTarget(id: number, address: string | null): void
  /** Nothing arrives on these ways, and nobody is told. */
  hold(ways: readonly Way[]): Promise<Heal>
  /** Both ways of each pair, with the connections' ends told; new ones are refused. */
  cut(pairs: readonly Way[]): Promise<Heal>
  /** `amount` in [0, 1): how slow. */
  slow(ways: readonly Way[], amount: number): Promise<Heal>
  /** A member's cable is pulled out; null where there is none. */
  readonly unplug: ((id: number) => Promise<Heal>) | null
  effects(): Promise<LinkEffects>
  close(): Promise<void>
}
