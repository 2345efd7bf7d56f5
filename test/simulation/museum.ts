import { CORE_MUTANTS } from './museum-core.ts'
import { RULE_MUTANTS } from './museum-rules.ts'
import { SHELL_MUTANTS } from './museum-shell.ts'
import { STORE_MUTANTS } from './museum-store.ts'
import { ZNODE_MUTANTS } from './museum-znodes.ts'
import type { Mutant } from './mutants.ts'

/** Bugs that shipped elsewhere, and bugs that were found on paper, put back. `known-bugs.md` has their stories; each row's number is its own there. */
export const MUSEUM: readonly Mutant[] = [...CORE_MUTANTS, ...SHELL_MUTANTS, ...STORE_MUTANTS, ...ZNODE_MUTANTS].sort((a, b) => Number(a.bug) - Number(b.bug))

/** The rows, and behind them the proofs of single rules. */
export const ALL_MUTANTS: readonly Mutant[] = [...MUSEUM, ...RULE_MUTANTS]
