import type { Outcome } from '@antiphon/ports'
import type { ChaosRequest, ChaosResult } from './machine.ts'
import type { StoreName } from './stores.ts'

export interface StartArgument {
  readonly id: number
  /** As this member reaches them: through its own links. */
  readonly members: Readonly<Record<number, string>>
  readonly listen: string
  readonly folder: string
  readonly store: StoreName
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string }
  readonly snapshotEveryEntries: number
}

export type Ask =
  | { readonly command: 'start'; readonly argument: StartArgument }
  | { readonly command: 'propose'; readonly argument: { readonly request: ChaosRequest; readonly timeoutMs: number } }
  | { readonly command: 'read'; readonly argument: { readonly key: string; readonly timeoutMs: number } }
  /** All that a key holds and has held, as applied at this member. */
  | { readonly command: 'look'; readonly argument: { readonly key: string } }
  | { readonly command: 'state'; readonly argument: { readonly timeoutMs: number } }
  | { readonly command: 'role'; readonly argument: null }

export interface Standing {
  readonly role: string
  readonly active: boolean
  readonly epoch: number
}

/** Of `start`: the address that the member listens on. */
export type Answer =
  | {
      readonly value:
        | { readonly address: string }
        | ChaosResult
        | readonly string[]
        | string
        | { readonly digest: string; readonly state: string }
        | Standing
        | null
      /** Of the member when it answered. */
      readonly role: string
    }
  | { readonly code: string; readonly outcome: Outcome; readonly message: string }

export type FromMember =
  | { readonly kind: 'answer'; readonly number: number; readonly answer: Answer }
  | ({ readonly kind: 'standing' } & Standing)
  | { readonly kind: 'fault'; readonly code: string; readonly message: string }
