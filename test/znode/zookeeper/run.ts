import type { WatchEventType } from '@antiphon/znode-tree'
import { BASE, hasQuota, MISCHIEF, type Program, type Step, WRITES } from '../program.ts'
import type { Reply, Seen, Transcript } from '../transcript.ts'
import { Connection, type Credentials, NOBODY } from '../wire/connection.ts'
import { javaPassword } from '../wire/password.ts'
import { exchangeOf } from '../wire/requests.ts'

const EVENTS: Readonly<Record<number, WatchEventType>> = { 1: 'created', 2: 'deleted', 3: 'dataChanged', 4: 'childrenChanged' }
/**
 * Answered where they are read, by another connection, or with another reply's ZXID in them; and setAcl, for a write that ZooKeeper looks at before it is applied is still permitted by
 * the ACL before.
 */
const ALONE = new Set(['open', 'close', 'expire', 'reattach', 'intrude', 'auth', 'setWatches', 'setAcl'])
const SESSION_EXPIRED = -112

/** A `sync` of `/`. */
const SYNC = Buffer.from([0, 0, 0, 1, 0x2f])

class Client {
  readonly seen: Seen[] = []
  connection: Connection | null = null
  credentials: Credentials = NOBODY
}

/** Runs a program below a node of its own. */
class Run {
  readonly #port: number
  readonly #clients: Client[]
  readonly #at: (path: string) => string
  readonly #back: (path: string) => string
  readonly #changes: number[] = [0]
  readonly #pipelines: boolean

  constructor(port: number, base: string, clients: number, pipelines: boolean) {
    this.#port = port
    this.#pipelines = pipelines
    this.#clients = Array.from({ length: clients }, () => new Client())
    const [there, here] = [`$1${base}`, `$1${BASE}`]
    const [ours, theirs] = [new RegExp(`^(/zookeeper/quota)?${BASE}(?=/|$)`), new RegExp(`^(/zookeeper/quota)?${base}(?=/|$)`)]
    this.#at = (path) => path.replace(ours, there)
    this.#back = (path) => path.replace(theirs, here)
  }

  async program(program: Program): Promise<Transcript> {
    let last: Client | null = null
    for (const [index, step] of program.entries()) {
      if (MISCHIEF.has(step.op)) continue
      const client = this.#clients[step.client]!
      const alone = !this.#pipelines || ALONE.has(step.op)
      if (last !== null && (last !== client || alone)) await last.connection?.idle()
      await this.#step(client, index, step)
      if (alone) await client.connection?.idle()
      last = client
    }
    await last?.connection?.idle()
    // Whatever was to be notified has been when a later request is answered.
    for (const { connection } of this.#clients) connection?.request(9, SYNC, () => undefined)
    for (const { connection } of this.#clients) await connection?.idle()
    const seen = this.#clients.map((client) => [...client.seen])
    for (const { connection } of this.#clients) connection?.request(-11, Buffer.alloc(0), () => undefined)
    for (const { connection } of this.#clients) await connection?.idle()
    for (const { connection } of this.#clients) connection?.end()
    return seen
  }

  async #step(client: Client, index: number, step: Step): Promise<void> {
    const saw = (reply: Reply): void => {
      client.seen.push({ kind: 'reply', step: index, reply })
    }
    switch (step.op) {
      case 'open': {
        await this.#connect(client, NOBODY)
        const { session, password } = client.credentials
        this.#changes.push(this.#changes.at(-1)!)
        return saw({ code: 0, session, passwordIsJavas: password.equals(javaPassword(session)) })
      }
      case 'reattach':
        await this.#connect(client, client.credentials)
        return saw({ code: 0 })
      case 'intrude': {
        const intruder = await Connection.open(this.#port, { ...client.credentials, password: Buffer.alloc(16, 1) }, () => undefined)
        const refused = intruder.credentials === null
        intruder.end()
        await this.#connect(client, client.credentials)
        return saw({ code: refused ? SESSION_EXPIRED : 0 })
      }
    }
    const since = step.op === 'setWatches' ? (this.#changes.at(-1 - step.before) ?? 0) : 0
    const exchange = exchangeOf(step, this.#at, this.#back, since)
    if (exchange === null) throw new Error(`${step.op} is no request`)
    client.connection!.request(exchange.type, exchange.body, ({ zxid, code }, body) => {
      const change = WRITES.has(step.op) ? { zxid } : {}
      if (WRITES.has(step.op)) this.#changes.push(zxid)
      saw({ ...change, code, ...(code === 0 ? exchange.read(body) : {}) })
    })
    if (step.op === 'close' || step.op === 'expire') {
      await client.connection!.idle()
      client.connection!.end()
      client.connection = null
    }
  }

  async #connect(client: Client, as: Credentials): Promise<void> {
    // What it was notified of before is still on its way.
    client.connection?.request(9, SYNC, () => undefined)
    await client.connection?.idle()
    client.connection?.end()
    const connection = await Connection.open(this.#port, as, (type, path) => {
      client.seen.push({ kind: 'event', type: EVENTS[type]!, path: this.#back(path), zxid: null })
    })
    if (connection.credentials === null) throw new Error('the server refuses a session')
    client.connection = connection
    client.credentials = connection.credentials
  }
}

export function runOnZookeeper(port: number, base: string, program: Program, clients: number): Promise<Transcript> {
  return new Run(port, base, clients, !hasQuota(program)).program(program)
}
