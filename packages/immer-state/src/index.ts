export { immerState } from './immer-state.ts'
export { refuse } from './refusals.ts'
export type {
  Action,
  ActionContext,
  ActionRequest,
  Actions,
  Delivery,
  Dispatch,
  ImmerState,
  ImmerStateOptions,
  SubscribeOptions,
  Unsubscribe,
} from './types.ts'
