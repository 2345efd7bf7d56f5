import {
  type Checksum,
  type Configuration,
  type EnsembleId,
  type Founding,
  invalidArgument,
  type LogStore,
  type Member,
  peerId,
  type Random,
  type Run,
  randomId,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  systemRandom,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { expectEqual } from './compare.ts'
import { fill } from './fill.ts'
import { isEmpty } from './source.ts'

/** A member of the ensemble that is made. */
export interface NewMember {
  /** 1 to 255. */
  readonly id: number
  /** New and closed; closed afterwards. */
  readonly store: LogStore
  /** What is not told here is as a backup has it for this id; else a voter of weight 1 in group 0. */
  readonly role?: 'voter' | 'observer'
  readonly weight?: number
  readonly group?: number
}

export interface NewEnsembleOptions {
  /** Ids are drawn from it. The host's own unless told. */
  readonly random?: Random
}

export interface FoundedMember {
  readonly id: number
  readonly role: 'voter' | 'observer'
  readonly storeId: StoreId
}

export interface Founded {
  readonly ensembleId: EnsembleId
  readonly members: readonly FoundedMember[]
}

/** What all members of a new ensemble begin with. */
export interface Beginning {
  /** Of members that there were: what is not told anew. */
  readonly former: readonly Member[]
  /** Nothing is written in it any more, nor in one below. */
  readonly epoch: number
  readonly snapshot: SnapshotMeta | null
  readonly last: Zxid
  /** Of the history at `last`. */
  readonly checksum: Checksum
  /** All of it, from the start, for one store. */
  read(founding: Founding): Promise<Reading>
}

export interface Reading {
  /** Of the snapshot, as a store of that ensemble keeps it. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** Behind it; to be read when the chunks have been. */
  readonly runs: AsyncIterable<Run>
  /** Both were read. @throws AntiphonError CORRUPT when they are not what they should have been */
  end(): Promise<void>
}

/** Whatever `work` comes to, the stores are closed. */
export async function closing<T>(members: readonly NewMember[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    for (const { store } of members) await store.close()
  }
}

/**
 * Founds an ensemble on `beginning`: a new ensemble id, new store ids, one founding record, and the beginning in every store, all of which counts as committed. Each store is opened again
 * and compared. When it throws, the stores are worth nothing.
 * @throws AntiphonError INVALID_ARGUMENT, CORRUPT, and what the stores throw
 */
export async function makeEnsemble(
  { former, epoch, snapshot, last, checksum, read }: Beginning,
  members: readonly NewMember[],
  { random = systemRandom() }: NewEnsembleOptions = {},
): Promise<Founded> {
  const ensembleId = randomId(random)
  const placed = members.map((member) => ({ ...member, storeId: randomId(random) }))
  const configuration = configurationOf(placed, former)
  const founding = { ensembleId, configuration }
  const epochs = { accepted: epoch, acceptedFrom: null, current: epoch }
  for (const { id, store, storeId } of placed) expectNew(id, storeId, await store.open(storeId))
  for (const { store, storeId } of placed) {
    const { chunks, runs, end } = await read(founding)
    await fill(store, { founding, epochs, snapshot: snapshot === null ? null : { meta: snapshot, chunks }, runs })
    await end()
    await store.close()
    const { log, ...state } = await store.open(storeId)
    expectEqual('what was written', { ...state, last: log.last, checksum: log.checksum }, { storeId, founding, epochs, snapshot, last, checksum })
  }
  return { ensembleId, members: placed.map(({ id, storeId }) => ({ id, role: roleOf(configuration, id), storeId })) }
}

function roleOf(configuration: Configuration, id: number): 'voter' | 'observer' {
  return configuration.members.find((member) => member.id === id)!.role
}

function configurationOf(placed: readonly (NewMember & { readonly storeId: StoreId })[], former: readonly Member[]): Configuration {
  const members = placed.map((member): Member => {
    const id = peerId(member.id)
    const before = former.find((other) => other.id === id)
    const role = member.role ?? before?.role ?? 'voter'
    const { weight = before?.role === role ? before.weight : role === 'voter' ? 1 : 0, group = before?.group ?? 0 } = member
    if (!isCount(weight) || !isCount(group)) throw invalidArgument(`member ${id} has a weight or a group that is no count`, 'Give integers, 0 or more.')
    return { id, role, weight, group, storeId: role === 'voter' ? member.storeId : null }
  })
  members.sort((a, b) => a.id - b.id)
  for (const [i, { id }] of members.entries()) {
    if (id === members[i + 1]?.id) throw invalidArgument(`member ${id} is named twice`, 'Give each member an id of its own.')
  }
  if (!members.some(({ role, weight }) => role === 'voter' && weight > 0))
    throw invalidArgument('the new ensemble would have no voter with a weight', 'Name at least one member that votes.')
  return { version: ZERO, members }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function expectNew(id: number, storeId: StoreId, state: StoredState): void {
  if (state.storeId === storeId && isEmpty(state)) return
  throw invalidArgument(`the store for member ${id} is not new: it is store ${state.storeId}`, 'Name new, empty stores.')
}
