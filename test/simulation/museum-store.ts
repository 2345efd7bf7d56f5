import type { Mutant } from './mutants.ts'

const ENGINE = 'packages/storage-file/src/engine'

/** Bugs put back in the file store. */
export const STORE_MUTANTS: readonly Mutant[] = [
  {
    bug: 10,
    rule: 14,
    name: 'what came in a snapshot synchronisation that was never completed is kept and served (ZK-2845, ZK-3642, ZK-2872)',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: '      const main = own.filter(({ head }) => head !== null && !head.staged)\n',
        replacement: '      const main = own.filter(({ head }) => head !== null)\n',
      },
    ],
  },
  {
    bug: 32,
    rule: 3,
    name: 'truncating a log that also holds the promises of epochs takes them along',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: '      takeIntoIndex(index, segment, record)\n',
        replacement: '      takeIntoIndex(index, segment, record)\n      if (record.kind === 2) this.#epochs = segment.head.epochs\n',
      },
    ],
  },
  {
    bug: 40,
    rule: 2,
    name: 'a batch whose sectors reached the disk out of order is called corrupt',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: 'findLaterRecord(reader, end, salt, lastBatch + 1, staged)',
        replacement: 'findLaterRecord(reader, end, salt, lastBatch, staged)',
      },
    ],
  },
  {
    bug: 9,
    rule: 4,
    name: 'a write that finds no room on the disk is taken for done (ZK-3701, ZK-4882)',
    patches: [
      {
        file: 'packages/storage-kit/src/engine-base.ts',
        text: '      return { packs, error: null }\n    } catch (error) {\n',
        replacement:
          "      return { packs, error: null }\n    } catch (error) {\n      if ((error as AntiphonError).code === 'DISK_FULL') return { packs, error: null }\n",
      },
    ],
  },
  {
    bug: 20,
    rule: 2,
    name: 'a corrupt record in the middle of the log is taken for its end (FAST 2018)',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: '    if (later === null) return\n',
        replacement: '    if (later === null || end > 0) return\n',
      },
    ],
  },
  {
    bug: 33,
    rule: 4,
    name: 'what was read back from the page cache is reported as durable',
    patches: [
      { file: `${ENGINE}/recovery.ts`, text: '    this.#copyLast(settings)\n', replacement: '    if (settings.segmentBytes < 0) this.#copyLast(settings)\n' },
    ],
  },
  {
    bug: 51,
    rule: 4,
    name: 'a flush failed, the process was started again, and the second flush "succeeded"',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: '    this.#copyLast(settings)\n',
        replacement: '    for (const { file } of files) this.#disk.sync(file!)\n    if (settings.segmentBytes < 0) this.#copyLast(settings)\n',
      },
    ],
  },
]
