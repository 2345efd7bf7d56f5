import { Command, CommanderError } from 'commander'
import { backUp } from './commands/backup.ts'
import { writeCertificates } from './commands/certificates.ts'
import { type ExportFlags, exportZooKeeper } from './commands/export-zookeeper.ts'
import { inspect } from './commands/inspect.ts'
import { migrateStore } from './commands/migrate.ts'
import { restoreInto } from './commands/restore.ts'
import { type TakeOverFlags, takeOver } from './commands/take-over.ts'
import { verify } from './commands/verify.ts'
import { type Console, carryOut, NOT_DONE, type Outcome, SOUND } from './outcome.ts'
import type { ZooKeeperFlags } from './zookeeper-data.ts'

export type { Console } from './outcome.ts'

const VERSION = '0.1.0'

/** Carries out a command line; its exit status: 0 done, and sound; 1 damaged; 2 not done. Never rejects. */
export async function main(args: readonly string[], console: Console): Promise<number> {
  let status = SOUND
  const carry = async ({ json = false }: { readonly json?: boolean }, work: () => Promise<Outcome>): Promise<void> => {
    status = await carryOut(console, json, work)
  }
  const program = programOf(carry, console)
  try {
    await program.parseAsync(args, { from: 'user' })
    return status
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0 && error.code !== 'commander.help') return SOUND
    if (args.includes('--json')) {
      const message = error.message.replace(/^error: /, '')
      console.out(`${JSON.stringify({ ok: false, error: { code: 'INVALID_ARGUMENT', message, remedy: 'See `antiphon --help`.', details: {} } })}\n`)
    }
    return NOT_DONE
  }
}

type Carry = (flags: { readonly json?: boolean }, work: () => Promise<Outcome>) => Promise<void>

function programOf(carry: Carry, console: Console): Command {
  const program = new Command('antiphon')
    .description('Looks after the stores of an Antiphon ensemble.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => console.out(text), writeErr: (text) => console.err(text) })
    .showHelpAfterError('See `antiphon --help`, and `antiphon <command> --help`.')
    .addHelpText('after', '\nExit status: 0 done, and sound; 1 damaged; 2 not done (wrong arguments, or a file or folder that cannot be used).')

  const command = (name: string, description: string, example: string): Command =>
    program.command(name).description(description).option('--json', 'print one object, as the last line').addHelpText('after', `\nExample:\n  $ ${example}`)

  command(
    'inspect <path>',
    "Tells what a store's folder holds, also while its replica runs; or what a backup, or a stopped ZooKeeper's data, holds. Changes nothing.",
    'antiphon inspect ./data/1',
  )
    .option('--logs <folder>', 'of a ZooKeeper: its dataLogDir, if it has one')
    .action((path: string, flags: { readonly json?: boolean } & ZooKeeperFlags) => carry(flags, () => inspect(path, flags)))

  command(
    'verify <path>',
    "Reads all of a store's folder, also while its replica runs, or of a backup: every checksum, and that everything continues what is before it. Changes nothing. Exit status 1: damaged, by file and offset.",
    'antiphon verify ./data/1 && echo sound',
  ).action((path: string, flags: { readonly json?: boolean }) => carry(flags, () => verify(path)))

  command(
    'backup <folder> <file>',
    'Writes newest snapshot and log of a store into one file, also while its replica runs. The file appears when it is whole. Entries at the end of the log may not be committed yet.',
    'antiphon backup ./data/1 ./monday.backup',
  )
    .option('--snapshot-only', 'leave out the log: what is surely committed')
    .action((folder: string, file: string, flags: { readonly json?: boolean; readonly snapshotOnly?: boolean }) =>
      carry(flags, () => backUp(folder, file, flags)),
    )

  command(
    'restore <file>',
    'Makes a backup into a NEW ensemble, with a new ensemble id and new store ids, in new folders. What was backed up and what was restored take each other for strangers.',
    'antiphon restore ./monday.backup --members 1=./data/1,2=./data/2,3=./data/3',
  )
    .requiredOption('--members <id=folder...>', 'every member and its empty folder')
    .option('--observers <ids...>', 'who of them observes; as it was in the backup unless told')
    .action((file: string, flags: { readonly json?: boolean; readonly members: string[]; readonly observers?: string[] }) =>
      carry(flags, () => restoreInto(file, flags)),
    )

  command(
    'take-over <folder>',
    "Makes the data of a ZooKeeper into a NEW ensemble, in new folders: nodes with their Stats and ACLs, and sessions. <folder> is a stopped server's dataDir, or the version-2 in it. Nothing in it is changed.",
    'antiphon take-over /var/lib/zookeeper --members 1=./data/1,2=./data/2,3=./data/3',
  )
    .requiredOption('--members <id=folder...>', 'every member and its empty folder')
    .option('--observers <ids...>', 'who of them observes')
    .option('--machine <name>', "the znode tree's name among the replicas' machines, of which it is the only one", 'znodes')
    .option('--logs <folder>', "the server's dataLogDir, if it has one")
    .option('--accept-torn', 'leave out an entry that a log ends in the midst of')
    .option('--accept-digest', 'take over a tree whose digest is not the one that the server told')
    .action((folder: string, flags: { readonly json?: boolean } & TakeOverFlags) => carry(flags, () => takeOver(folder, flags)))

  command(
    'export-zookeeper <path> <folder>',
    "Writes the znode tree that a store's folder, also while its replica runs, or a backup holds as a dataDir of ZooKeeper. Entries at the end of the log may not be committed yet.",
    'antiphon export-zookeeper ./monday.backup ./zookeeper',
  )
    .option('--machine <name>', "the znode tree's name among the replicas' machines", 'znodes')
    .action((path: string, folder: string, flags: { readonly json?: boolean } & ExportFlags) => carry(flags, () => exportZooKeeper(path, folder, flags)))

  command(
    'migrate <from> <to>',
    'Puts what one store holds into another, new one, and compares both. The member goes on from the new one under the same id; never start the old one again. Kinds: file, lmdb.',
    'antiphon migrate file:./data/1 file:/mnt/fast/1',
  ).action((from: string, to: string, flags: { readonly json?: boolean }) => carry(flags, () => migrateStore(from, to)))

  command(
    'certificates',
    'Makes an authority, and a key and a certificate for each member, to try TLS with.',
    'antiphon certificates --members 1,2,3 --out ./certificates',
  )
    .requiredOption('--members <ids...>', 'for whom')
    .requiredOption('--out <folder>', 'where to: an empty folder')
    .option('--days <days>', 'how long they hold', '30')
    .action((flags: { readonly json?: boolean; readonly members: string[]; readonly out: string; readonly days: string }) =>
      carry(flags, () => writeCertificates(flags)),
    )
  return program
}
