import { stat } from 'node:fs/promises'
import { AntiphonError, formatZxid, type Zxid } from '@antiphon/ports'
import { BACKUP_FORMAT_VERSION, machinesOfStore, type Source, verifyBackup } from '@antiphon/storage-tools'
import type { Outcome } from '../outcome.ts'
import { type Description, placeAt } from '../stores.ts'
import { readWhole } from '../whole-file.ts'
import { isZooKeeperData, readZooKeeperData, type ZooKeeperFlags, zxidText } from '../zookeeper-data.ts'
import { count, lines, membersText } from './described.ts'
import { digestText } from './take-over.ts'

const MEDIA = { file: 'in files', lmdb: 'in LMDB' } as const

/** As the replicas' settings have them, in order. */
type Machines = readonly { readonly key: string; readonly name: string; readonly version: number }[] | null

export async function inspect(path: string, flags: ZooKeeperFlags): Promise<Outcome> {
  if (await isFile(path)) return inspectBackup(path)
  return (await isZooKeeperData(path)) ? inspectZooKeeper(path, flags) : inspectStore(path)
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

async function inspectStore(path: string): Promise<Outcome> {
  const view = await (await placeAt(path)).view()
  try {
    const { description, inUse } = view
    const machines = await machinesHeld(view)
    return { report: { kind: 'store', inUse, machines, ...description }, text: storeText(description, machines, inUse) }
  } finally {
    await view.close()
  }
}

/** Null: what tells it is damaged, or of another version; `verify` tells where. */
async function machinesHeld(source: Source): Promise<Machines> {
  try {
    return (await machinesOfStore(source)).map(([key, name, version]) => ({ key, name, version }))
  } catch (error) {
    if (error instanceof AntiphonError) return null
    throw error
  }
}

function machinesText(machines: Machines): string {
  if (machines === null) return 'can not be told: see `antiphon verify`'
  return machines.length === 0 ? 'none yet' : machines.map(({ key, name, version }) => `${key} (${name}, version ${version})`).join(', ')
}

function storeText(store: Description, machines: Machines, inUse: boolean): string {
  const { founding, epochs, log, snapshots, leftovers } = store
  const promised = epochs.acceptedFrom === null ? '' : ` (promised to ${epochs.acceptedFrom.leader})`
  const sealed = store.medium === 'file' && !store.sealed ? ', not sealed' : ''
  const sections = [
    lines([
      ['store', `${store.storeId}, ${MEDIA[store.medium]}, format version ${store.formatVersion}${inUse ? ', in use' : ''}`],
      ['ensemble', founding === null ? 'none yet' : founding.ensembleId],
      ['machines', machinesText(machines)],
      ['epochs', `accepted ${epochs.accepted}${promised}, current ${epochs.current}`],
      ['log', `${count(store.entries)} entries behind ${formatZxid(log.start)}, to ${formatZxid(log.last)}; batch ${count(store.lastBatch)}${sealed}`],
      endRow(store),
      ['leftovers', leftovers.length === 0 ? 'none' : leftovers.join(', ')],
    ]),
  ]
  if (founding !== null) sections.push(`\nmembers, as of ${formatZxid(founding.configuration.version)}\n${membersText(founding.configuration)}\n`)
  sections.push(`\nsegments\n${segmentLines(store).join('')}`)
  sections.push(
    `\nsnapshots${snapshots.length === 0 ? ': none' : ''}\n${snapshots.map(({ file, bytes, meta }) => `  ${file}  at ${formatZxid(meta.zxid)}, ${count(bytes)} bytes\n`).join('')}`,
  )
  return sections.join('')
}

function endRow(store: Description): [string, string] {
  if (store.medium === 'lmdb') return ['data.mdb', `${count(store.dataBytes)} bytes`]
  const { torn } = store
  return ['torn end', torn === null ? 'none' : `${torn.file} behind ${torn.offset}: the next start cuts it off`]
}

function segmentLines(store: Description): string[] {
  const held = (segment: { readonly entries: number; readonly previous: Zxid; readonly last: Zxid }): string =>
    `${count(segment.entries)} entries, ${formatZxid(segment.previous)} to ${formatZxid(segment.last)}`
  if (store.medium === 'lmdb') return store.segments.map((segment) => `  ${segment.database}  ${held(segment)}\n`)
  return store.segments.map((segment) => `  ${segment.file}  ${held(segment)}, ${count(segment.end)} of ${count(segment.bytes)} bytes\n`)
}

async function inspectZooKeeper(path: string, flags: ZooKeeperFlags): Promise<Outcome> {
  const { folder, zxid, epoch, beginsAt, time, tree, sessions, torn, broken, digestAgrees } = await readZooKeeperData(path, flags)
  const [nodes, ephemerals] = [tree.size, tree.ephemeralCount]
  const text = lines([
    ['ZooKeeper', folder],
    ['last change', `${zxidText(zxid)}, epoch ${epoch}; the newest that a node shows: ${timeText(time)}`],
    ['nodes', `${count(nodes)}, ${count(ephemerals)} of them ephemeral`],
    ['sessions', count(sessions.size)],
    ['torn end', torn ? 'of a log' : 'none'],
    ['broken', broken.length === 0 ? 'none' : `${broken.join(', ')}: an older snapshot was read, and the logs behind it`],
    ['digest', digestText(digestAgrees)],
  ])
  const report = { kind: 'zookeeper', folder, zxid, epoch, beginsAt, time, nodes, ephemerals, sessions: sessions.size, torn, broken, digestAgrees }
  return { report, text, damaged: digestAgrees === false }
}

const TIME_MAX = 8.64e15

/** What a node carries may be any number. */
function timeText(time: number): string {
  return time <= TIME_MAX ? new Date(time).toISOString() : String(time)
}

async function inspectBackup(file: string): Promise<Outcome> {
  const backup = await verifyBackup(readWhole(file))
  const { founding, snapshot } = backup
  const text = lines([
    ['backup', `of store ${backup.storeId}, format version ${BACKUP_FORMAT_VERSION}`],
    ['ensemble', founding.ensembleId],
    ['snapshot', snapshot === null ? 'none' : `at ${formatZxid(snapshot.zxid)}, ${count(backup.chunkBytes)} bytes in ${count(backup.chunks)} chunks`],
    ['entries', `${count(backup.entries)}, to ${formatZxid(backup.last)}`],
  ])
  return { report: { kind: 'backup', formatVersion: BACKUP_FORMAT_VERSION, ...backup }, text: `${text}\nmembers\n${membersText(founding.configuration)}\n` }
}
