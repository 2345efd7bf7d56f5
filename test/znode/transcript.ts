import type { Acl, SessionId, Stat, WatchEventType } from '@antiphon/znode-tree'
import type { Data } from './program.ts'

/** A Stat with plain numbers for ZXIDs: some come from another server. */
export type SeenStat = { readonly [Field in keyof Stat]: Stat[Field] extends SessionId ? SessionId : number }

/** What one part of a multi or multiRead came to. */
export interface PartReply {
  readonly code: number
  readonly path?: string
  readonly stat?: SeenStat
  readonly data?: Data
  readonly children?: readonly string[]
}

export interface Reply extends PartReply {
  /** Of a change, also of one that failed. */
  readonly zxid?: number
  readonly acl?: readonly Acl[]
  readonly count?: number
  readonly paths?: readonly string[]
  readonly users?: readonly string[]
  readonly parts?: readonly PartReply[]
  /** Of a session that was opened. */
  readonly session?: bigint
  /** Is it the one that ZooKeeper draws from the session's id? */
  readonly passwordIsJavas?: boolean
}

export type Seen =
  | { readonly kind: 'reply'; readonly step: number; readonly reply: Reply }
  | {
      readonly kind: 'event'
      readonly type: WatchEventType
      readonly path: string
      readonly zxid: number | null
      /** The step, when it closed a session: the order in which its nodes go is nobody's promise. */
      readonly closing?: number
    }

/** What each client has seen, in order. */
export type Transcript = readonly (readonly Seen[])[]

interface Line {
  readonly text: string
  readonly closing: number | null
}

export interface Normalisation {
  /** Times are the same, not only equal where they should be. */
  readonly exactTimes: boolean
  /** Events tell which change has fired them. */
  readonly eventZxids: boolean
  /** Lists whose order nobody promises are sorted: children, ephemerals, identities; ACLs for what `auth` expands to. */
  readonly sorted: boolean
}

/** ZXIDs become the step that drew them, sessions the step that opened them, times those of their ZXID. */
function normalise(transcript: Transcript, options: Normalisation): Line[][] {
  const changes = new Map<number, string>([[0, '0']])
  const sessions = new Map<bigint, string>([[0n, '0']])
  const times = new Map<string, number>([['0', 0]])
  for (const seen of transcript)
    for (const item of seen) {
      if (item.kind !== 'reply') continue
      const { zxid, session } = item.reply
      if (zxid !== undefined) changes.set(zxid, String(item.step))
      if (session !== undefined) sessions.set(session, String(item.step))
    }
  const change = (zxid: number): string => changes.get(zxid) ?? '?'
  const time = (of: string, ms: number): number | string => {
    if (options.exactTimes) return ms
    const known = times.get(of)
    if (known === undefined) times.set(of, ms)
    return known === undefined || known === ms ? `of ${of}` : `not of ${of}`
  }
  const list = <T>(items: readonly T[]): readonly T[] => (options.sorted ? [...items].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : items)
  const stat = (s: SeenStat): object => ({
    czxid: change(s.czxid),
    mzxid: change(s.mzxid),
    pzxid: change(s.pzxid),
    ctime: time(change(s.czxid), s.ctime),
    mtime: time(change(s.mzxid), s.mtime),
    version: s.version,
    cversion: s.cversion,
    aversion: s.aversion,
    owner: sessions.get(s.ephemeralOwner) ?? '?',
    length: s.dataLength,
    children: s.numChildren,
  })
  const part = (reply: PartReply): object => ({
    code: reply.code,
    path: reply.path,
    data: reply.data,
    children: reply.children && list(reply.children),
    stat: reply.stat && stat(reply.stat),
  })
  const whole = (reply: Reply): object => ({
    ...part(reply),
    acl: reply.acl && list(reply.acl.map(({ perms, scheme, id }) => `${perms}:${scheme}:${id}`)),
    count: reply.count,
    paths: reply.paths && list(reply.paths),
    users: reply.users && list(reply.users),
    parts: reply.parts?.map(part),
    passwordIsJavas: reply.passwordIsJavas,
  })
  return transcript.map((seen) =>
    seen.map((item) => {
      if (item.kind === 'reply') return { text: `${item.step} ${JSON.stringify(whole(item.reply))}`, closing: null }
      const fired = options.eventZxids && item.zxid !== null ? ` by ${change(item.zxid)}` : ''
      return { text: `event ${item.type} ${JSON.stringify(item.path)}${fired}`, closing: item.closing ?? null }
    }),
  )
}

/** Null: no difference. Otherwise the first of each client. `expected` is a model's. */
export function difference(expected: Transcript, actual: Transcript, options: Normalisation): string | null {
  const left = normalise(expected, options)
  const right = normalise(actual, options)
  const found: string[] = []
  left.forEach((lines, client) => {
    const others = right[client]!
    for (let at = 0; at < Math.max(lines.length, others.length); ) {
      const closing = lines[at]?.closing ?? null
      let end = at + 1
      if (options.sorted && closing !== null) while (lines[end]?.closing === closing) end++
      const slice = (of: readonly Line[]): string[] => of.slice(at, end).map(({ text }) => text)
      const [want, have] = end > at + 1 ? [slice(lines).sort(), slice(others).sort()] : [slice(lines), slice(others)]
      if (want.join('\n') !== have.join('\n')) {
        found.push(
          `client ${client}, item ${at}\n  expected ${want.join('\n           ') || 'nothing more'}\n  but was  ${have.join('\n           ') || 'nothing more'}`,
        )
        break
      }
      at = end
    }
  })
  return found.length === 0 ? null : found.join('\n')
}
