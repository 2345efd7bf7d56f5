import type { FaultKind } from '@antiphon/simulator'
import { MUSEUM } from './museum.ts'
import type { Mutant, Patch } from './mutants.ts'

const ENGINE = 'packages/storage-file/src/engine'
const PROFILE = 'packages/simulator/src/profile.ts'

/** A bug that shows itself when this fault is all that goes wrong, in a run that is sound when nothing does: proof that the fault bites. */
export interface FaultProof {
  readonly fault: FaultKind
  /** A row of the museum, or what is put back. */
  readonly bug: Mutant['bug'] | { readonly name: string; readonly rule: number; readonly patches: readonly Patch[] }
  /** It takes more than a few seeds. */
  readonly slow?: true
}

export const FAULT_PROOFS: readonly FaultProof[] = [
  { fault: 'ring', bug: 13 },
  { fault: 'black-hole', bug: 21 },
  { fault: 'slow-link', bug: 6, slow: true },
  { fault: 'double-dial', bug: 36, slow: true },
  { fault: 'slow-member', bug: 6 },
  { fault: 'crash-at-step', bug: 12 },
  { fault: 'rot-behind', bug: 20 },
  { fault: 'swap-disks', bug: 19 },
  {
    fault: 'misread',
    bug: {
      rule: 2,
      name: 'what does not hold is cut off behind one reading',
      patches: [{ file: `${ENGINE}/recovery.ts`, text: '      this.#assertSame(segment, scan, new FileReader(this.#disk, file.file!))\n', replacement: '' }],
    },
  },
  {
    fault: 'disk-error',
    bug: {
      rule: 4,
      name: 'a batch that could not be written is called durable',
      patches: [
        {
          file: 'packages/storage-kit/src/engine-base.ts',
          text: '      return { packs, error: this.fail(error) }\n',
          replacement: '      return { packs, error: error === null ? this.fail(error) : null }\n',
        },
      ],
    },
  },
]

/** The bug, and nothing besides that goes wrong but `fault`, often; null: nothing at all. */
export function alone({ fault, bug }: FaultProof, makes: FaultKind | null): Mutant {
  const found = typeof bug === 'object' ? { bug: fault, ...bug } : MUSEUM.find((mutant) => mutant.bug === bug)
  if (found === undefined) throw new Error(`the museum has no row ${String(bug)}`)
  const only = makes === null ? '' : `    if (kind === '${makes}') faults.push({ ...plan, everyMs: 800 })\n`
  return { ...found, patches: [{ file: PROFILE, text: '    if (random.chance(density)) faults.push(plan)\n', replacement: only }, ...found.patches] }
}
