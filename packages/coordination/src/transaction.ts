import { invalidArgument } from '@antiphon/ports'
import { type MultiPart, type WriteOperation, type ZnodeResult, znodeError } from '@antiphon/znode-tree'
import { transactionFailed } from './errors.ts'
import { createOperation, expectData, unexpected, versionOf } from './operations.ts'
import type { Root } from './paths.ts'
import type { CallOptions, CreateOptions, Data, Transaction, TransactionResult } from './types.ts'

type Write = (operation: WriteOperation, options: CallOptions) => Promise<ZnodeResult>

export class TreeTransaction implements Transaction {
  readonly #root: Root
  readonly #write: Write
  readonly #operations: MultiPart[] = []
  #committed = false

  constructor(root: Root, write: Write) {
    this.#root = root
    this.#write = write
  }

  create(path: string, data: Data = null, options: Omit<CreateOptions, keyof CallOptions> = {}): this {
    return this.#add(createOperation(this.#root.inForCreate(path, options.mode), data, options))
  }

  delete(path: string, options: { readonly version?: number } = {}): this {
    return this.#add({ type: 'delete', path: this.#root.in(path), version: versionOf(options) })
  }

  setData(path: string, data: Data, options: { readonly version?: number } = {}): this {
    return this.#add({ type: 'setData', path: this.#root.in(path), data: expectData(data), version: versionOf(options) })
  }

  check(path: string, options: { readonly version?: number } = {}): this {
    return this.#add({ type: 'check', path: this.#root.in(path), version: versionOf(options) })
  }

  async commit(options: CallOptions = {}): Promise<readonly TransactionResult[]> {
    if (this.#committed) throw invalidArgument('the transaction was committed before', 'Begin another.')
    this.#committed = true
    const result = await this.#write({ type: 'multi', operations: this.#operations }, options)
    if (result.type === 'error') throw znodeError(result.error)
    if (result.type !== 'multi') throw unexpected(result)
    const paths = this.#operations.map(({ path }) => this.#root.out(path))
    return result.results.map((one) => {
      if (one.type === 'error') throw transactionFailed(result.results, paths)
      if (one.type === 'create') return { type: 'create', path: this.#root.out(one.path), stat: one.stat }
      if (one.type === 'setData') return { type: 'setData', stat: one.stat }
      if (one.type === 'setAcl') throw unexpected(one)
      return { type: one.type }
    })
  }

  #add(operation: MultiPart): this {
    if (this.#committed) throw invalidArgument('the transaction was committed before', 'Begin another.')
    this.#operations.push(operation)
    return this
  }
}
