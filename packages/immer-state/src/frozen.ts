import { AntiphonError } from '@antiphon/ports'

/**
 * Collections in a state are changed through drafts alone. A write from elsewhere would make this replica differ from the others for good, so it throws. Their prototypes
 * stand between the instance and `Map.prototype`; the codec writes past them.
 */
function forbidden(): never {
  throw new AntiphonError('INVALID_ARGUMENT', 'the replicated state is immutable', {
    remedy: 'Change it in an action, through the draft that the action is given. A Date is replaced, not changed.',
  })
}

function guarded(base: object, names: readonly string[]): object {
  const prototype = Object.create(base) as Record<string, unknown>
  for (const name of names) Object.defineProperty(prototype, name, { value: forbidden })
  return Object.freeze(prototype)
}

export const FROZEN_MAP: object = guarded(Map.prototype, ['set', 'delete', 'clear'])
export const FROZEN_SET: object = guarded(Set.prototype, ['add', 'delete', 'clear'])
export const FROZEN_DATE: object = guarded(
  Date.prototype,
  Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith('set')),
)

/** The container itself, not what is in it. */
export function freezeContainer(container: object): void {
  if (container instanceof Map) Object.setPrototypeOf(container, FROZEN_MAP)
  else if (container instanceof Set) Object.setPrototypeOf(container, FROZEN_SET)
  Object.freeze(container)
}
