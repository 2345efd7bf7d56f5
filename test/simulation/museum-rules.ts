import type { Mutant } from './mutants.ts'

/** Change of epoch in place. */
const RULE_12: readonly Mutant[] = []

/** Transfers that are resumed, staged generations. */
const RULE_14: readonly Mutant[] = []

/** A slow follower rejoins in mid-stream. */
const RULE_17: readonly Mutant[] = []

/** Results in the table of origins, retirement of silent ones. */
const RULE_22: readonly Mutant[] = []

/** Rounds of reads in a pipeline, reads by lease. */
const RULE_23: readonly Mutant[] = []

/** The median of the clocks. */
const RULE_24: readonly Mutant[] = []

/** Digests are compared, and who differs is rebuilt. */
const RULE_28: readonly Mutant[] = []

/** What proves the whole form of rules that no row of the museum speaks of: each takes one of their promises away. */
export const RULE_MUTANTS: readonly Mutant[] = [...RULE_12, ...RULE_14, ...RULE_17, ...RULE_22, ...RULE_23, ...RULE_24, ...RULE_28]
