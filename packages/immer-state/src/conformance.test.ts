import { testStateMachine } from '@antiphon/conformance'
import { test } from 'vitest'
import { immerState, mutableState, Table } from './index.ts'

interface State {
  accounts: Map<string, { balance: bigint; opened: Date }>
  order: string[]
}

const names = ['ada', 'bob', 'cyd', 'dan']
const requests = Array.from({ length: 40 }, (_, i) => {
  const owner = names[i % 4]!
  if (i < 4) return { action: 'open', payload: owner }
  return i % 5 === 0 ? { action: 'touch', payload: owner } : { action: 'pay', payload: { owner, amount: BigInt(i) } }
})

/** Long names, so that few accounts make several slices. */
const bulk = Array.from({ length: 120 }, (_, i) => ({ action: 'open', payload: `${i} ${'x'.repeat(1500)}` }))

testStateMachine(test, {
  create: () =>
    immerState({
      initial: { accounts: new Map(), order: [] } as State,
      actions: {
        open(state, owner: string, { time }) {
          if (owner === '') throw new Error('nobody')
          state.accounts.set(owner, { balance: 0n, opened: new Date(time) })
          state.order.push(owner)
        },
        touch(state, owner: string, { random }) {
          state.order.splice(state.order.indexOf(owner), 1)
          state.order.push(owner)
          return random()
        },
        pay(state, { owner, amount }: { owner: string; amount: bigint }) {
          const account = state.accounts.get(owner)!
          account.balance += amount
          return account
        },
      },
    }),
  requests,
  bulk,
  refused: [
    { action: 'open', payload: '' },
    { action: 'pay', payload: { owner: 'nobody', amount: 1n } },
  ],
})

testStateMachine(test, {
  create: () =>
    mutableState({
      create: () => new Table<{ balance: bigint }>(),
      actions: {
        open: (table, owner: string) => void table.set(owner, { balance: 0n }),
        touch: (table, owner: string, { time }) => void table.set(`${owner}@${time}`, { balance: 0n }),
        pay: (table, { owner, amount }: { owner: string; amount: bigint }) => void table.set(owner, { balance: (table.get(owner)?.balance ?? 0n) + amount }),
      },
    }),
  requests,
  bulk,
})
