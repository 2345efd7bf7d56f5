import { AntiphonError, formatZxid } from '@antiphon/ports'
import { found } from '@antiphon/storage-tools'
import { takenOverMachine } from '@antiphon/znode-tree'
import { inNewFolders, type MembersFlags, madeText } from '../new-ensemble.ts'
import type { Outcome } from '../outcome.ts'
import { readZooKeeperData, type ZooKeeperData, type ZooKeeperFlags, zxidText } from '../zookeeper-data.ts'
import { count } from './described.ts'

export interface TakeOverFlags extends MembersFlags, ZooKeeperFlags {
  readonly machine: string
  readonly acceptTorn?: boolean
  readonly acceptDigest?: boolean
}

/** The data of a ZooKeeper becomes a new ensemble. */
export async function takeOver(path: string, flags: TakeOverFlags): Promise<Outcome> {
  let data: ZooKeeperData | null = null
  const founded = await inNewFolders(flags, async (members) => {
    data = await readZooKeeperData(path, flags)
    expectSound(data, flags)
    // A server whose clock was ahead must not hold up ours.
    const time = Math.min(data.time, Date.now())
    return found({ zxid: data.beginsAt, time, machines: { [flags.machine]: takenOverMachine(data) } }, members)
  })
  const { folder, zxid, beginsAt, tree, sessions, torn, broken, digestAgrees } = data! as ZooKeeperData
  const { ensembleId } = founded.made
  const { members } = founded
  const machine = flags.machine
  const holds = { nodes: tree.size, sessions: sessions.size, ephemerals: tree.ephemeralCount }
  const report = { ensembleId, last: beginsAt, machine, zxid, ...holds, torn, broken, digestAgrees, members }
  const text = [
    `a new ensemble, ${ensembleId}, with the data of ${folder} to ${zxidText(zxid)}\n`,
    `  ${count(holds.nodes)} nodes, ${count(holds.ephemerals)} of them ephemeral, ${count(holds.sessions)} sessions; ${digestText(digestAgrees)}\n`,
    `  machine \`${machine}\`; the history begins at ${formatZxid(beginsAt)}\n`,
    ...warnings(torn, broken).map((warning) => `  warning: ${warning}\n`),
    madeText(founded),
  ]
  return { report, text: text.join('') }
}

export function digestText(agrees: boolean | null): string {
  if (agrees === null) return 'the server told no digest to compare'
  return agrees ? 'the digest is the one that the server told' : 'THE DIGEST IS NOT THE ONE THAT THE SERVER TOLD'
}

function expectSound({ torn, digestAgrees, zxid }: ZooKeeperData, { acceptTorn = false, acceptDigest = false }: TakeOverFlags): void {
  if (torn && !acceptTorn)
    throw new AntiphonError('CORRUPT', `a log ends in the midst of an entry; what can be taken over ends at ${zxidText(zxid)}`, {
      remedy:
        'Take the data of another server of that ZooKeeper. If this one was alone, and lost its power as it wrote: nobody was told of what is missing, and `--accept-torn` goes on without it.',
      details: { zxid },
    })
  if (digestAgrees === false && !acceptDigest)
    throw new AntiphonError('CORRUPT', `the tree at ${zxidText(zxid)} does not have the digest that the server told: its files do not hold what it had`, {
      remedy: 'Take the data of another server of that ZooKeeper. `--accept-digest` takes over what the files hold.',
      details: { zxid },
    })
}

function warnings(torn: boolean, broken: readonly string[]): string[] {
  return [
    ...(torn ? ['a log ends in the midst of an entry, which was left out'] : []),
    ...(broken.length > 0 ? [`${broken.join(', ')} not whole: an older snapshot was taken, and the logs behind it`] : []),
  ]
}
