export { immerState } from './immer-state.ts'
export { mutableState } from './mutable-state.ts'
export type {
  ActionOutcome,
  MutableAction,
  MutableActions,
  MutableContext,
  MutableModel,
  MutableState,
  MutableStateOptions,
} from './mutable-types.ts'
export { refuse } from './refusals.ts'
export { Table } from './table.ts'
export type {
  Action,
  ActionContext,
  ActionRequest,
  Actions,
  Delivery,
  Dispatch,
  ImmerState,
  ImmerStateOptions,
  ReadOptions,
  SubscribeOptions,
  Unsubscribe,
} from './types.ts'
