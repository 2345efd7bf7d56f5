import { CORE_MUTANTS } from './museum-core.ts'
import { SHELL_MUTANTS } from './museum-shell.ts'
import { STORE_MUTANTS } from './museum-store.ts'
import type { Mutant } from './mutants.ts'

/** Bugs that shipped elsewhere, and bugs that were found on paper, put back. `known-bugs.md` has their stories; each row's number is its own there. */
export const MUSEUM: readonly Mutant[] = [...CORE_MUTANTS, ...SHELL_MUTANTS, ...STORE_MUTANTS].sort((a, b) => a.bug - b.bug)
