import { AntiphonError } from '@antiphon/ports'
import type { Patch } from 'immer'
import { patchesBetween } from './patches.ts'
import type { Delivery, SubscribeOptions, Unsubscribe } from './types.ts'

interface Subscription {
  readonly selector: ((state: unknown) => unknown) | null
  readonly listener: (selected: unknown, previous: unknown) => void
  readonly equals: (selected: unknown, previous: unknown) => boolean
  /** What the listener was told last. */
  selected: unknown
}

type PatchListener = (patches: readonly Patch[], delivery: Delivery) => void

/** Who is told of changes. Nothing that a subscriber throws gets out of here but as trouble. */
export class Subscriptions {
  readonly #subscriptions = new Set<Subscription>()
  readonly #patchListeners = new Set<{ readonly listener: PatchListener }>()
  readonly #trouble: (error: AntiphonError) => void

  constructor(trouble: (error: AntiphonError) => void) {
    this.#trouble = trouble
  }

  add(state: unknown, selector: Subscription['selector'], listener: Subscription['listener'], options: SubscribeOptions<never> | undefined): Unsubscribe {
    const selected = selector === null ? state : selector(state)
    const equals = (options?.equals ?? Object.is) as Subscription['equals']
    const subscription = { selector, listener, equals, selected }
    this.#subscriptions.add(subscription)
    if (options?.immediate === true) this.#guard(() => listener(selected, selected))
    return () => void this.#subscriptions.delete(subscription)
  }

  addPatches(listener: PatchListener): Unsubscribe {
    const entry = { listener }
    this.#patchListeners.add(entry)
    return () => void this.#patchListeners.delete(entry)
  }

  tell(state: unknown, previous: unknown, delivery: Delivery): void {
    if (state === previous) return
    if (this.#patchListeners.size > 0) {
      const patches = patchesBetween(previous, state)
      if (patches.length > 0) for (const { listener } of [...this.#patchListeners]) this.#guard(() => listener(patches, delivery))
    }
    if (this.#subscriptions.size > 0) for (const subscription of [...this.#subscriptions]) this.#guard(() => this.#tellOne(subscription, state))
  }

  #tellOne(subscription: Subscription, state: unknown): void {
    if (!this.#subscriptions.has(subscription)) return
    const { selector, listener, equals, selected: previous } = subscription
    const selected = selector === null ? state : selector(state)
    if (equals(selected, previous)) return
    subscription.selected = selected
    listener(selected, previous)
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.#trouble(
        new AntiphonError('INVALID_ARGUMENT', `a subscriber threw: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
          remedy: 'Catch what the subscriber throws; the replica went on without it.',
          cause: thrown,
        }),
      )
    }
  }
}
