import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { corrupt, invalidArgument, ZERO } from '@antiphon/ports'
import { replayBackup, replayStore } from '@antiphon/storage-tools'
import { type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import type { Outcome } from '../outcome.ts'
import { expectEmpty, placeAt } from '../stores.ts'
import { readWhole, writeWhole } from '../whole-file.ts'
import { readZooKeeperData, VERSIONED, zxidText } from '../zookeeper-data.ts'
import { count } from './described.ts'
import { isFile } from './inspect.ts'

export interface ExportFlags {
  readonly machine: string
}

/** What a store or a backup holds becomes a `dataDir` of ZooKeeper. */
export async function exportZooKeeper(path: string, to: string, { machine }: ExportFlags): Promise<Outcome> {
  const folder = resolve(to)
  const wasThere = await expectEmpty(folder)
  const tree = znodeTree()
  await ((await isFile(path)) ? replayBackup(readWhole(path), { [machine]: tree }) : replay(path, machine, tree))
  if (tree.reader.zxid === ZERO) throw invalidArgument(`${path} holds no change to the machine \`${machine}\` yet`, 'Name a store or a backup that has a tree.')
  const { name, zxid, chunks } = tree.zooKeeperSnapshot()
  const file = join(folder, VERSIONED, name)
  try {
    await mkdir(join(folder, VERSIONED), { recursive: true })
    const bytes = await writeWhole(file, streamed(chunks))
    // What can be read back is what counts.
    const { tree: written, sessions, digestAgrees } = await readZooKeeperData(folder, { isAlone: true })
    if (digestAgrees !== true || written.digest() !== tree.treeDigest()) throw corrupt(`${file} does not read back as what was written`)
    const holds = { nodes: written.size, sessions: sessions.size, ephemerals: written.ephemeralCount }
    const report = { file, bytes, zxid, ...holds, digestAgrees }
    const text = [
      `${file}: ${count(bytes)} bytes, the tree at ${zxidText(zxid)}\n`,
      `  ${count(holds.nodes)} nodes, ${count(holds.ephemerals)} of them ephemeral, ${count(holds.sessions)} sessions\n`,
      `${folder} is a \`dataDir\` for a server of ZooKeeper; of several, give each a copy, and its \`myid\`\n`,
    ]
    return { report, text: text.join('') }
  } catch (error) {
    await rm(wasThere ? join(folder, VERSIONED) : folder, { recursive: true, force: true })
    throw error
  }
}

async function replay(path: string, machine: string, tree: ZnodeTree): Promise<void> {
  const view = await (await placeAt(path)).view()
  try {
    const [damage] = view.troubles ?? []
    if (damage !== undefined) throw damage
    await replayStore(view, { [machine]: tree })
  } finally {
    await view.close()
  }
}

async function* streamed(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}
