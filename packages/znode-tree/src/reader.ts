import type { Zxid } from '@antiphon/ports'
import { maskAcl } from './auth/access-control.ts'
import type { NodeTree } from './data-tree.ts'
import { NO_NODE, type NodeIndex } from './data-tree-types.ts'
import { znodeError } from './errors.ts'
import type { NodeView, TreeReader } from './machine-types.ts'
import { type Acl, ADMIN, type Identity, READ, type SessionId, type Stat } from './types.ts'

/** Does one of `identities` have one of the permissions `perms` (or'ed) by `acl`? */
export type Permits = (acl: readonly Acl[], perms: number, identities: readonly Identity[]) => boolean

/** Reads of a tree, by path. The machine moves `zxid`. */
export class NodeReader implements TreeReader {
  zxid: Zxid
  readonly #tree: NodeTree
  readonly #permits: Permits

  constructor(tree: NodeTree, permits: Permits, zxid: Zxid) {
    this.#tree = tree
    this.#permits = permits
    this.zxid = zxid
  }

  get size(): number {
    return this.#tree.size
  }

  /** As ZooKeeper since 3.8.4: who may not read a node is told NO_AUTH, not that it is there. */
  exists(path: string, identities?: readonly Identity[]): Stat | null {
    if (path.includes('\0')) throw znodeError('BAD_ARGUMENTS', path)
    const node = this.#tree.find(path)
    if (node === NO_NODE) return null
    this.#check(node, path, READ, identities)
    return this.#tree.stat(node)
  }

  get(path: string, identities?: readonly Identity[]): NodeView {
    const node = this.#find(path, READ, identities)
    return { data: this.#tree.data(node), stat: this.#tree.stat(node) }
  }

  data(path: string, identities?: readonly Identity[]): Uint8Array | null {
    return this.#tree.data(this.#find(path, READ, identities))
  }

  children(path: string, identities?: readonly Identity[]): string[] {
    const tree = this.#tree
    const names: string[] = []
    for (let child = tree.firstChild(this.#find(path, READ, identities)); child !== NO_NODE; child = tree.nextSibling(child)) names.push(tree.name(child))
    return names
  }

  countDescendants(path: string, identities?: readonly Identity[]): number {
    const root = this.#find(path, READ, identities)
    if (path === '/') return this.#tree.size - 1
    let count = -1
    for (let node = root; node !== NO_NODE; node = this.#tree.following(node, root)) count++
    return count
  }

  /** Whoever may not administer the node sees the users of digests, and not their hashes. */
  acl(path: string, identities?: readonly Identity[]): { readonly acl: readonly Acl[]; readonly stat: Stat } {
    const node = this.#find(path, READ | ADMIN, identities)
    const acl = this.#tree.aclOf(this.#tree.acl(node))
    const isWhole = identities === undefined || this.#permits(acl, ADMIN, identities)
    return { acl: isWhole ? acl : maskAcl(acl), stat: this.#tree.stat(node) }
  }

  ephemerals(session: SessionId, prefix = ''): string[] {
    const paths = this.#tree.ephemerals(session)
    return prefix.trim() === '' || prefix.trim() === '/' ? paths : paths.filter((path) => path.startsWith(prefix))
  }

  #find(path: string, perms: number, identities: readonly Identity[] | undefined): NodeIndex {
    const node = this.#tree.find(path)
    if (node === NO_NODE) throw znodeError('NO_NODE', path)
    this.#check(node, path, perms, identities)
    return node
  }

  #check(node: NodeIndex, path: string, perms: number, identities: readonly Identity[] | undefined): void {
    if (identities !== undefined && !this.#permits(this.#tree.aclOf(this.#tree.acl(node)), perms, identities)) throw znodeError('NO_AUTH', path)
  }
}
