import { immerState, mutableState, Table } from '@antiphon/immer-state'
import { simulate, type WorkloadRandom } from '@antiphon/simulator'
import { expect, test } from 'vitest'

const NAMES = ['ada', 'bob', 'cyd', 'dan']

interface State {
  accounts: Map<string, { balance: number; opened: Date }>
  order: string[]
}

function accounts(): ReturnType<typeof immerState<State, ReturnType<typeof actions>>> {
  return immerState({ initial: { accounts: new Map(), order: [] } as State, actions: actions() })
}

function actions() {
  return {
    pay(state: State, { owner, amount }: { owner: string; amount: number }, { time }: { time: number }): number {
      const account = state.accounts.get(owner)
      if (account === undefined) {
        if (amount > 7) throw new Error('too much to begin with')
        state.accounts.set(owner, { balance: amount, opened: new Date(time) })
        state.order.push(owner)
        return amount
      }
      account.balance += amount
      return account.balance
    },
  }
}

const pay = (random: WorkloadRandom) => ({ action: 'pay', payload: { owner: random.pick(NAMES), amount: random.between(1, 9) } })

test('a state on immer drafts is a sound machine', async () => {
  const { report, ok, entries } = await simulate({ machine: accounts, workload: pay, seeds: 4, requests: 40 })
  expect(report).toContain('nothing was found')
  expect(ok).toBe(true)
  expect(entries).toBeGreaterThan(20)
})

test('a table that changes in place is a sound machine, and one whose actions read the clock is not', async () => {
  const table = (now: (time: number) => number) =>
    mutableState({
      create: () => new Table<{ balance: number; at: number }>(),
      actions: {
        pay: (rows, { owner, amount }: { owner: string; amount: number }, { time }) =>
          void rows.set(owner, { balance: (rows.get(owner)?.balance ?? 0) + amount, at: now(time) }),
      },
    })
  const sound = await simulate({ machine: () => table((time) => time), workload: pay, seeds: 3, requests: 40 })
  expect(sound.report).toContain('nothing was found')
  const broken = await simulate({ machine: () => table(() => Date.now()), workload: pay, seeds: 3, requests: 40 })
  expect(broken.findings.map(({ kind }) => kind)).toEqual(['nondeterministic'])
})
