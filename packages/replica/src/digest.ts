import type { Digest } from '@antiphon/consensus-core'
import { diverged, messageOf } from './errors.ts'
import type { OriginTable } from './origins.ts'
import type { NamedMachine } from './settings.ts'

/**
 * What the state of this replica comes down to (rule 28): its exactly-once table and the digests of its machines, of those that have one.
 * @throws AntiphonError DIVERGED when a machine throws, or does not return a bigint
 */
export function digestOf(machines: readonly NamedMachine[], table: OriginTable): Digest {
  const fingerprint = table.digest()
  for (const [index, { name, machine }] of machines.entries()) {
    if (machine.digest === undefined) continue
    let digest: unknown
    try {
      digest = machine.digest()
    } catch (thrown) {
      throw diverged(`the machine \`${name}\` threw in digest: ${messageOf(thrown)}`, { machine: name }, thrown)
    }
    if (typeof digest !== 'bigint') throw diverged(`the machine \`${name}\` has a digest that is no bigint`, { machine: name })
    fingerprint.add(index + 1).addBig(digest)
  }
  return fingerprint.toString()
}
