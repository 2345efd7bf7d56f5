import type { Operation } from '../program.ts'
import type { Reply } from '../transcript.ts'
import type { Connection } from './connection.ts'
import { exchangeOf } from './requests.ts'

/** One operation on its own connection, and what the server answers. */
export async function ask(connection: Connection, operation: Operation): Promise<Reply> {
  let reply: Reply = { code: 1 }
  const same = (path: string): string => path
  const { type, body, read } = exchangeOf({ client: 0, ...operation }, same, same, 0)!
  connection.request(type, body, ({ zxid, code }, from) => {
    reply = { zxid, code, ...(code === 0 ? read(from) : {}) }
  })
  await connection.idle()
  return reply
}
