import type { Audit, Write } from './registry.ts'

/** What a member is started with. */
export interface MemberArguments {
  readonly id: number
  readonly folder: string
  readonly members: Readonly<Record<number, string>>
}

export type ToMember =
  | { readonly kind: 'put'; readonly writes: readonly Write[] }
  | { readonly kind: 'audit'; readonly request: number; readonly acknowledged: readonly (readonly [number, number])[] }
  | { readonly kind: 'digest'; readonly request: number }
  | { readonly kind: 'close' }

export interface MemberView {
  readonly role: string
  /** The leader that the member follows, itself included; null when it has none. */
  readonly leader: number | null
  readonly epoch: number
  readonly applied: string
  readonly writes: number
}

export interface Refused {
  readonly id: number
  readonly code: string
  readonly message: string
  readonly remedy: string
  /** Nothing happened, and nothing will. */
  readonly isRejected: boolean
}

export type FromMember =
  | { readonly kind: 'started' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'view'; readonly view: MemberView }
  | { readonly kind: 'settled'; readonly acknowledged: readonly number[]; readonly refused: readonly Refused[] }
  | { readonly kind: 'audited'; readonly request: number; readonly audit: Audit }
  | { readonly kind: 'digested'; readonly request: number; readonly zxid: string; readonly digest: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly remedy: string }
