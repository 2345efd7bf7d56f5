import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AntiphonError, LogStore } from '@antiphon/ports'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { lmdbStorage } from './index.ts'
import { STORE_ID, Workload } from './workload.test-support.ts'

const MEBIBYTES = 8

/** Null where mounting is not permitted. */
function mounted(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'antiphon-small-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEBIBYTES}m,mode=700`, 'tmpfs', folder], { stdio: 'ignore' })
    return folder
  } catch {
    rmdirSync(folder)
    return null
  }
}

const disk = mounted()
const lacking = disk === null ? ' (not here: a tmpfs cannot be mounted)' : ''

afterAll(() => {
  if (disk === null) return
  execFileSync('umount', ['-l', disk])
  rmdirSync(disk)
})

/** Leaves `blocks` of 4 KiB. */
function ballast(blocks: number): void {
  const { bavail, bsize } = statfsSync(disk!)
  writeFileSync(join(disk!, 'ballast'), new Uint8Array((bavail - blocks) * bsize))
}

async function carryOut(store: LogStore, workload: Workload): Promise<AntiphonError | null> {
  const { write, staged, meta } = workload.next()
  let install: number | null = null
  if (staged !== null) {
    install = await store.stage(meta, (async function* () {})())
    store.stageAppend(install, [staged], () => undefined)
  }
  return new Promise((resolve) => store.write({ ...write, install }, resolve))
}

// However many blocks are left: whole pages find no room, or the last one of several does not.
test.skipIf(disk === null).each([0, 1, 2, 3, 5, 9])(
  `a disk that becomes full is DISK_FULL, with %i blocks left, and what was durable is there afterwards${lacking}`,
  async (blocks) => {
    const folder = join(disk!, `store-${blocks}`)
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true })
      rmSync(join(disk!, 'ballast'), { force: true })
    })
    const store = lmdbStorage({ folder, mainThread: true, aheadBytes: 0 })
    await store.open(STORE_ID)
    const workload = new Workload()
    for (let i = 0; i < 4; i++) expect(await carryOut(store, workload)).toBeNull()
    ballast(blocks)
    let failed: AntiphonError | null = null
    let durable = workload.number
    for (let i = 0; i < 15 && failed === null; i++) {
      failed = await carryOut(store, workload)
      if (failed === null) durable = workload.number
    }
    expect(failed?.code).toBe('DISK_FULL')
    rmSync(join(disk!, 'ballast'))
    expect((await carryOut(store, workload))?.code).toBe('DISK_FULL')
    await store.close()
    const again = lmdbStorage({ folder, mainThread: true })
    const state = await again.open(STORE_ID)
    expect(await Workload.at(durable).differs(again, state)).toBeNull()
    await again.close()
  },
)
