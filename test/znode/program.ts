import type { Acl, CreateMode } from '@antiphon/znode-tree'

/** Each character is one byte; `null` and empty are different data. */
export type Data = string | null

export interface CreatePart {
  readonly op: 'create'
  readonly path: string
  readonly data: Data
  readonly acl: readonly Acl[]
  readonly mode: CreateMode
  readonly ttlMs: number
  /** Is the Stat asked for (create2)? */
  readonly stat: boolean
}

export type Part =
  | CreatePart
  | { readonly op: 'delete'; readonly path: string; readonly version: number }
  | { readonly op: 'setData'; readonly path: string; readonly data: Data; readonly version: number }
  | { readonly op: 'check'; readonly path: string; readonly version: number }

export interface ReadPart {
  readonly op: 'getData' | 'children'
  readonly path: string
}

/** ZooKeeper's WatcherType. */
export const WATCHER_TYPES = { children: 1, data: 2, any: 3, persistent: 4, recursive: 5 } as const
export type WatcherType = keyof typeof WATCHER_TYPES

export type Write =
  | Exclude<Part, { op: 'check' }>
  | { readonly op: 'setAcl'; readonly path: string; readonly acl: readonly Acl[]; readonly version: number }
  | { readonly op: 'multi'; readonly parts: readonly Part[] }

export type Read =
  | { readonly op: 'exists' | 'getData'; readonly path: string; readonly watch: boolean }
  | { readonly op: 'children'; readonly path: string; readonly watch: boolean; readonly stat: boolean }
  | { readonly op: 'getAcl' | 'countDescendants' | 'sync'; readonly path: string }
  | { readonly op: 'ephemerals'; readonly prefix: string | null }
  | { readonly op: 'multiRead'; readonly parts: readonly ReadPart[] }
  | { readonly op: 'whoAmI' }

/** Watches by what they are to be registered as anew: ZooKeeper's lists, in its order. */
export const WATCH_LISTS = ['data', 'exists', 'children', 'persistent', 'recursive'] as const
export type WatchLists = Readonly<Record<(typeof WATCH_LISTS)[number], readonly string[]>>

export type WatchOperation =
  | { readonly op: 'addWatch'; readonly path: string; readonly recursive: boolean }
  | { readonly op: 'removeWatches' | 'checkWatches'; readonly path: string; readonly type: WatcherType }
  /** As of the change that was made `before` changes ago in the program; 0: of the last one. */
  | ({ readonly op: 'setWatches'; readonly before: number } & WatchLists)

export type SessionOperation =
  /** `local`: known where it is opened, and nowhere else before it makes its first ephemeral node. */
  | { readonly op: 'open'; readonly local?: true }
  | { readonly op: 'close' }
  /** Nothing is heard of the session until it is closed for it; on a real server, whose clock is its own, the client closes it. */
  | { readonly op: 'expire' }
  /** The session is taken over by another connection: its watches and credentials are gone, its nodes are not. */
  | { readonly op: 'reattach' }
  /** Somebody tries, and does not know the password. The session's present connection is lost for it, and made anew. */
  | { readonly op: 'intrude' }
  | { readonly op: 'auth'; readonly credential: string }

/** What is done to our machine alone, and must not be seen: a model and a real server pass over it. */
export type Mischief =
  /** Everything prepared and not applied is given up, and prepared once more. */
  | { readonly op: 'abandon' }
  /** The next write is prepared, taken back, and prepared once more. */
  | { readonly op: 'unprepare' }
  /** The second replica is made anew, out of a snapshot of the first. */
  | { readonly op: 'restore' }
  /** The other replica is the primary from now on. */
  | { readonly op: 'lead' }

/**
 * What others do, up to three changes, while the replica of our clients is behind: it comes to them by a snapshot, all at once. Of our machine alone: a server closes the connections of its clients
 * then.
 */
export interface Jump {
  readonly op: 'jump'
  readonly writes: readonly Exclude<Write, { op: 'multi' }>[]
}

export type Operation = Write | Read | WatchOperation | SessionOperation | Mischief | Jump

/** One step of one client. `held`: what it changes is applied with the next step that is not. */
export type Step = Operation & { readonly client: number; readonly held?: boolean }
export type Program = readonly Step[]

export const CLIENTS = 3
export const BASE = '/p'
export const MISCHIEF: ReadonlySet<string> = new Set(['abandon', 'unprepare', 'restore', 'lead'])
export const WRITES: ReadonlySet<string> = new Set(['create', 'delete', 'setData', 'setAcl', 'multi', 'open', 'close', 'expire', 'reattach', 'intrude'])
/** What can be held. The end of a local session changes nothing. */
const HELD: ReadonlySet<string> = new Set(['create', 'delete', 'setData', 'setAcl', 'multi', 'close'])
export function isHeld(step: Step, isLocal: boolean): boolean {
  return step.held === true && HELD.has(step.op) && !(step.op === 'close' && isLocal)
}

/** At its first one a local session becomes a global one, whether it can be made or not. */
export function makesEphemeral(write: Write): boolean {
  const isEphemeral = (part: Write | Part): boolean => part.op === 'create' && part.mode.startsWith('ephemeral')
  return write.op === 'multi' ? write.parts.some(isEphemeral) : isEphemeral(write)
}

const OPEN: readonly Acl[] = [{ perms: 31, scheme: 'world', id: 'anyone' }]

/** With everybody's first session and the node below which all happens; without what a client does that has no session. */
export function wholeProgram(steps: Program): Program {
  const open = new Set<number>()
  const whole: Step[] = []
  for (let client = 0; client < CLIENTS; client++) {
    whole.push({ client, op: 'open' })
    open.add(client)
  }
  whole.push({ client: 0, op: 'create', path: BASE, data: null, acl: OPEN, mode: 'persistent', ttlMs: 0, stat: false })
  for (const step of steps) {
    if (MISCHIEF.has(step.op) || step.op === 'jump') whole.push(step)
    else if (step.op === 'open') {
      if (open.has(step.client)) continue
      open.add(step.client)
      whole.push(step)
    } else if (open.has(step.client)) {
      whole.push(step)
      if (step.op === 'close' || step.op === 'expire') open.delete(step.client)
    }
  }
  return whole
}

/** Quotas are checked against what is applied: who pipelines gets answers that depend on the moment. */
export function hasQuota(program: Program): boolean {
  return program.some((step) => JSON.stringify(step).includes('/zookeeper/quota'))
}

export function tellProgram(program: Program): string {
  return program.map((step, index) => `${String(index).padStart(3)} ${JSON.stringify(step)}`).join('\n')
}
