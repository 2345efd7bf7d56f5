/** What `npm ci` needs on other machines than the one that wrote the lock file. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root, run } from './run.ts'

interface Locked {
  readonly resolved?: string
  readonly link?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** A lock file written where only one platform's binaries were installed names the others' nowhere, and `npm ci` fails everywhere else. */
export function missingOptional(packages: Readonly<Record<string, Locked>>): string[] {
  const missing: string[] = []
  for (const [at, { optionalDependencies }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies ?? {}))
      if (!resolves(packages, at, name)) missing.push(`${at || 'the root'} may need ${name}, which the lock file does not hold`)
  }
  return missing
}

/** Node's own way of looking: beside the dependent, then in each folder above. */
function resolves(packages: Readonly<Record<string, Locked>>, at: string, name: string): boolean {
  for (let folder = at; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (`${folder}${folder === '' ? '' : '/'}node_modules/${name}` in packages) return true
    if (folder === '') return false
  }
}

/** Where a package came from is the installing machine's own affair: a host in the lock file sends everybody else there. */
export function namedHosts(file: string, text: string): string[] {
  const hosts: string[] = []
  for (const [, host] of text.matchAll(/["']?\bresolved\b["']?\s*[:=]?\s*["']?(?:git\+)?(?:https?|ssh):\/\/([^/"'\s]+)/g))
    hosts.push(`${file} names the registry host ${host}`)
  return [...new Set(hosts)]
}

export async function lockFaults(): Promise<string[]> {
  const lock: { packages: Record<string, Locked> } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const faults = missingOptional(lock.packages)
  const tracked = await run('git', ['ls-files', '-z'])
  const files = tracked.ok ? tracked.output.split('\0').filter((name) => name !== '') : ['package-lock.json', '.npmrc']
  for (const file of files) {
    const text = await readFile(join(root, file), 'utf8').catch(() => '')
    faults.push(...namedHosts(file, text))
  }
  return faults
}
