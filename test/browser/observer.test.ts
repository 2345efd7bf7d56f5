import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { webSocketTransport } from '@antiphon/transport-websocket'
import { type Browser, chromium } from 'playwright-core'
import { build } from 'vite'
import { afterEach, expect, test, vi } from 'vitest'
import type { Page } from './observer.page.ts'
import { SECRET, visitsStore } from './visits.ts'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const demanded = (process.env['REQUIRE'] ?? '').split(',').includes('chromium')

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** As an application would: one script, by a bundler, without any shim for Node. */
async function bundle(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    // As vite does for applications; immer asks for it.
    define: { 'process.env.NODE_ENV': '"production"' },
    root: fileURLToPath(new URL('.', import.meta.url)),
    resolve: { conditions: ['@antiphon/source', 'browser', 'import', 'module', 'default'] },
    build: {
      write: false,
      minify: false,
      lib: { entry: fileURLToPath(new URL('observer.page.ts', import.meta.url)), formats: ['iife'], name: 'observer' },
      rollupOptions: { onwarn: (warning) => expect(warning.message).toBe('') },
    },
  })
  const [{ output: chunks }] = output as unknown as [{ output: { code: string }[] }]
  return chunks[0]!.code
}

/** An application's own server: it serves the page, and takes its replica's peers. */
async function application(script: string): Promise<Server> {
  const server = createServer((request, response) => {
    const html = request.url === '/'
    response.setHeader('content-type', html ? 'text/html' : 'text/javascript')
    response.end(html ? '<!doctype html><title>observer</title><script src="/observer.js"></script>' : script)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  return server
}

test('a browser tab observes a live ensemble, reads and writes, and follows the next leader', { timeout: 60_000 }, async (context) => {
  if (!existsSync(CHROMIUM) && !demanded) context.skip(`there is no ${CHROMIUM}: install Debian's chromium, or set CHROMIUM`)
  const script = await bundle()
  const servers = await Promise.all([1, 2, 3].map(() => application(script)))
  const origin = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`
  const voters = Object.fromEntries(servers.map((server, i) => [i + 1, `ws://${origin(server)}/antiphon`]))
  const members = { ...voters, 4: { role: 'observer' as const, address: '' } }
  const replicas = await Promise.all(
    servers.map(async (server, i) => {
      const visits = visitsStore()
      const transport = webSocketTransport({ server, secret: SECRET, redialMs: { min: 5, max: 200 } })
      const replica = await Replica.start({ id: i + 1, members, machines: { visits }, storage: memoryStorage(), transport })
      closing.push(() => replica.close())
      return { replica, visits }
    }),
  )
  const leader = async (): Promise<(typeof replicas)[number]> =>
    vi.waitUntil(() => replicas.find(({ replica }) => replica.status().role === 'leading' && replica.status().active), { timeout: 20_000 })
  await (await leader()).visits.dispatch.visit('node')

  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  closing.push(() => browser.close())
  const tab = await browser.newPage()
  const errors: string[] = []
  tab.on('pageerror', (error) => errors.push(String(error.stack)))
  await tab.goto(`http://${origin(servers[0]!)}/`)
  expect(errors).toEqual([])
  type Host = typeof globalThis & { page: Page }
  await tab.evaluate((all) => (globalThis as Host).page.start(all), members)
  expect(await tab.evaluate(() => (globalThis as Host).page.role())).toBe('observing')
  expect(await tab.evaluate(() => (globalThis as Host).page.linearizable())).toEqual(['node'])
  expect(await tab.evaluate(() => (globalThis as Host).page.visit('tab'))).toBe(2)
  expect((await replicas[1]!.visits.read()).by).toEqual(['node', 'tab'])

  const first = await leader()
  await first.replica.close()
  replicas.splice(replicas.indexOf(first), 1)
  await (await leader()).visits.dispatch.visit('the next leader')
  await vi.waitFor(async () => expect(await tab.evaluate(() => (globalThis as Host).page.local())).toEqual(['node', 'tab', 'the next leader']), {
    timeout: 20_000,
  })
  expect(errors).toEqual([])
})
