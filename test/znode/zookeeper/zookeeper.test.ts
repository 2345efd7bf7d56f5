import { expect, type TestContext, test } from 'vitest'
import { digestOf } from '../model/digest.ts'
import type { Node } from '../model/nodes.ts'
import type { Operation } from '../program.ts'
import type { SeenStat } from '../transcript.ts'
import { ask } from '../wire/ask.ts'
import { Connection, NOBODY } from '../wire/connection.ts'
import { compare } from './compare.ts'
import { fourLetterWord, missingZookeeper, startZookeeper, type ZookeeperServer } from './server.ts'

const demanded = (process.env['REQUIRE'] ?? '').split(',').includes('zookeeper')
const PROGRAMS = 300
/** ZooKeeper notes its digest once in so many changes. */
const DIGEST_EVERY = 128

async function withZookeeper(context: TestContext, run: (server: ZookeeperServer) => Promise<void>): Promise<void> {
  const missing = missingZookeeper()
  if (missing !== null && !demanded) context.skip(missing)
  const server = await startZookeeper()
  try {
    await run(server)
  } finally {
    await server[Symbol.asyncDispose]()
  }
}

test("Debian's ZooKeeper and the tree answer the same programs alike, but for what is meant to differ", { timeout: 300_000 }, async (context) => {
  await withZookeeper(context, async ({ port, version }) => {
    expect(version).toMatch(/^3\.8\./)
    const said: string[] = []
    const { programs, differences, meant } = await compare(port, 1, PROGRAMS, (text) => said.push(text))
    expect({ programs, differences, said }).toEqual({ programs: PROGRAMS, differences: 0, said: [] })
    // A difference that no program shows is a name for nothing.
    expect(Object.entries(meant).filter(([, count]) => count === 0)).toEqual([])
  })
})

/** All that a server has, as far as its clients are told: containers and TTL nodes look like persistent ones. */
async function nodesOf(connection: Connection, path = '/'): Promise<[string, Node][]> {
  const { data = null, stat } = await ask(connection, { op: 'getData', path, watch: false })
  const { ephemeralOwner: owner, cversion, numChildren, ...rest } = stat as SeenStat
  const node: Node = { ...rest, data, acl: [], owner, marked: 0n, created: (cversion + numChildren) / 2 }
  const { children = [] } = await ask(connection, { op: 'children', path, watch: false, stat: false })
  const above = path === '/' ? '' : path
  const below = await Promise.all(children.map((child) => nodesOf(connection, `${above}/${child}`)))
  return [[above, node], ...below.flat()]
}

test("the digest of the model, which is the machine's, is ZooKeeper's own", { timeout: 120_000 }, async (context) => {
  await withZookeeper(context, async ({ port }) => {
    const connection = await Connection.open(port, NOBODY, () => undefined)
    const acl = [{ perms: 31, scheme: 'world', id: 'anyone' }]
    const create = (path: string, data: string | null, mode: 'persistent' | 'ephemeral-sequential'): Operation => ({
      op: 'create',
      path,
      data,
      acl,
      mode,
      ttlMs: 0,
      stat: true,
    })
    const made: Operation[] = [
      create('/a', null, 'persistent'),
      create('/a/b', '', 'persistent'),
      create('/a/\u00e9', '\0\xff', 'persistent'),
      create('/a/s-', 'x', 'ephemeral-sequential'),
      create('/a/s-', 'y', 'ephemeral-sequential'),
      { op: 'delete', path: '/a/s-0000000002', version: -1 },
      { op: 'setData', path: '/a/b', data: 'zzz', version: 0 },
      { op: 'setAcl', path: '/a', acl: [{ perms: 31, scheme: 'ip', id: '127.0.0.1' }], version: 0 },
      { op: 'setData', path: '/zookeeper/quota', data: 'not in it', version: -1 },
    ]
    for (const operation of made) expect((await ask(connection, operation)).code).toBe(0)
    // Each takes a ZXID, and changes nothing.
    for (let burnt = 0; burnt < DIGEST_EVERY; burnt++) expect((await ask(connection, { op: 'delete', path: '/none', version: -1 })).code).toBe(-101)
    const nodes = new Map(await nodesOf(connection))
    expect(nodes.size).toBe(8)
    const owners = new Map([...nodes.values()].map(({ owner }) => [owner, owner]))
    const noted = (await fourLetterWord(port, 'hash')).trim().split('\n').at(-1)!
    expect(BigInt(noted.split(': ')[1]!)).toBe(digestOf(nodes, owners))
    connection.end()
  })
})
