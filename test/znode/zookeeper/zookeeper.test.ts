import { expect, test } from 'vitest'
import { compare } from './compare.ts'
import { missingZookeeper, startZookeeper } from './server.ts'

const demanded = (process.env['REQUIRE'] ?? '').split(',').includes('zookeeper')
const PROGRAMS = 300

test("Debian's ZooKeeper and the tree answer the same programs alike, but for what is meant to differ", { timeout: 300_000 }, async (context) => {
  const missing = missingZookeeper()
  if (missing !== null && !demanded) context.skip(missing)
  const server = await startZookeeper()
  try {
    expect(server.version).toMatch(/^3\.8\./)
    const said: string[] = []
    const { programs, differences, meant } = await compare(server.port, 1, PROGRAMS, (text) => said.push(text))
    expect({ programs, differences, said }).toEqual({ programs: PROGRAMS, differences: 0, said: [] })
    // A difference that no program shows is a name for nothing.
    expect(Object.entries(meant).filter(([, count]) => count === 0)).toEqual([])
  } finally {
    await server[Symbol.asyncDispose]()
  }
})
