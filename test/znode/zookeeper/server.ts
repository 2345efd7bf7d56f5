import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const JAR = process.env['ZOOKEEPER_JAR'] ?? '/usr/share/java/zookeeper.jar'
const JAVA = process.env['JAVA'] ?? '/usr/bin/java'
const START_MS = 60_000
const STARTS = 3
const WORD_MS = 5_000

/** Null: it can be started here. */
export function missingZookeeper(): string | null {
  const missing = [JAVA, JAR].filter((file) => !existsSync(file))
  return missing.length === 0
    ? null
    : `there is no ${missing.join(' and no ')}: install Debian's zookeeper (apt-get install zookeeper), or set JAVA and ZOOKEEPER_JAR`
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** What the server says to a four-letter word; empty when nobody answers. */
export function fourLetterWord(port: number, letters: string): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    // A connection to a port that nobody listens at may meet itself, and hears nothing.
    const socket = connect(port, '127.0.0.1', () => (socket.localPort === port ? socket.destroy() : socket.write(letters)))
    socket.setTimeout(WORD_MS, () => socket.destroy())
    socket.on('data', (bytes) => {
      text += bytes.toString('utf8')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}

export interface ZookeeperServer extends AsyncDisposable {
  readonly port: number
  /** As it tells of itself. */
  readonly version: string
}

/** Debian's ZooKeeper by itself, on loopback, with its data in `folder`, or else in a temporary one that goes with it: TTL nodes and enforced quotas are on, the disk is not waited for. */
export async function startZookeeper(folder: string | null = null): Promise<ZookeeperServer> {
  const missing = missingZookeeper()
  if (missing !== null) throw new Error(missing)
  for (let left = STARTS - 1; ; left--)
    try {
      return await startOne(folder)
    } catch (error) {
      // Somebody else may have taken the port meanwhile.
      if (left === 0) throw error
    }
}

async function startOne(given: string | null): Promise<ZookeeperServer> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'antiphon-zookeeper-')))
  const port = await freePort()
  const settings = {
    dataDir: folder,
    clientPort: port,
    clientPortAddress: '127.0.0.1',
    tickTime: 2000,
    maxClientCnxns: 0,
    'admin.enableServer': 'false',
    '4lw.commands.whitelist': '*',
    'metricsProvider.className': 'org.apache.zookeeper.metrics.impl.NullMetricsProvider',
  }
  const config = join(folder, 'zoo.cfg')
  await writeFile(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const properties = {
    'zookeeper.extendedTypesEnabled': 'true',
    'zookeeper.enforceQuota': 'true',
    'zookeeper.forceSync': 'no',
    'zookeeper.preAllocSize': '1024',
    'zookeeper.4lw.commands.whitelist': '*',
    'zookeeper.admin.enableServer': 'false',
    'zookeeper.jmx.log4j.disable': 'true',
    // Never: when a container goes is a matter of time.
    'znode.container.checkIntervalMs': String(24 * 3_600_000),
  }
  const flags = Object.entries(properties).map(([key, value]) => `-D${key}=${value}`)
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
  const server = spawn(JAVA, ['-Xmx256m', '-XX:+UseSerialGC', ...flags, '-cp', `${folder}:${JAR}`, main, config], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [server.stdout, server.stderr])
    stream.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString('utf8')).slice(-20_000)
    })
  const stop = async (): Promise<void> => {
    await ended(server)
    if (given === null) await rm(folder, { recursive: true, force: true })
  }
  const deadline = Date.now() + START_MS
  let version = ''
  while (version === '') {
    if (server.exitCode !== null || Date.now() > deadline) {
      await stop()
      throw new Error(`ZooKeeper does not start: ${said}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
    version = /Zookeeper version: (\d+\.\d+\.\d+)/.exec(await fourLetterWord(port, 'srvr'))?.[1] ?? ''
  }
  return { port, version, [Symbol.asyncDispose]: stop }
}

function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    server.once('exit', () => resolve())
    server.kill('SIGKILL')
  })
}
