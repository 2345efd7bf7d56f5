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
  #state: unknown
  /** What subscribers were told of last. */
  #told: unknown
  #delivery: Delivery | null = null

  constructor(state: unknown, trouble: (error: AntiphonError) => void) {
    this.#state = state
    this.#told = state
    this.#trouble = trouble
  }

  add(selector: Subscription['selector'], listener: Subscription['listener'], options: SubscribeOptions<never> | undefined): Unsubscribe {
    const selected = selector === null ? this.#state : selector(this.#state)
    const equals = (options?.equals ?? Object.is) as Subscription['equals']
    const subscription = { selector, listener, equals, selected }
    this.#subscriptions.add(subscription)
    if (options?.immediate === true) this.#guard(() => listener(selected, selected))
    return () => void this.#subscriptions.delete(subscription)
  }

  addPatches(listener: PatchListener): Unsubscribe {
    // Patches begin with what is not told yet: with the state as the subscriber finds it now.
    this.#tell()
    const entry = { listener }
    this.#patchListeners.add(entry)
    return () => void this.#patchListeners.delete(entry)
  }

  /**
   * The state is another. Subscribers are told in a microtask: out of the replica's own work, into which they may call, and still before whoever awaits a result of the same batch
   * goes on.
   */
  moved(state: unknown, delivery: Delivery): void {
    if (state === this.#state) return
    this.#state = state
    if (this.#subscriptions.size === 0 && this.#patchListeners.size === 0) {
      this.#told = state
      return
    }
    if (this.#delivery === null) queueMicrotask(() => this.#tell())
    this.#delivery = delivery
  }

  #tell(): void {
    const delivery = this.#delivery
    if (delivery === null) return
    const previous = this.#told
    const state = this.#state
    this.#delivery = null
    this.#told = state
    if (this.#patchListeners.size > 0) {
      const patches = patchesBetween(previous, state)
      if (patches.length > 0) for (const { listener } of [...this.#patchListeners]) this.#guard(() => listener(patches, delivery))
    }
    for (const subscription of [...this.#subscriptions]) this.#guard(() => this.#tellOne(subscription, state))
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
