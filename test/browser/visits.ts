import { type ImmerState, immerState } from '@antiphon/immer-state'

export const SECRET = 'what the members of this test share'

interface Visits {
  by: string[]
}

const actions = {
  visit(state: Visits, name: string): number {
    return state.by.push(name)
  },
}

/** The same in the browser and in Node. */
export function visitsStore(): ImmerState<Visits, typeof actions> {
  return immerState({ initial: { by: [] } as Visits, actions })
}
