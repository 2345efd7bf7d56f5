import { invalidArgument } from '@antiphon/ports'
import type { CreateMode } from '@antiphon/znode-tree'
import { expectPath } from './errors.ts'

const SLASH = 0x2f

/** A chroot: put in front of what goes in, taken off what comes out. */
export class Root {
  /** Empty, or a path without a slash at its end. */
  readonly prefix: string

  constructor(prefix = '') {
    this.prefix = prefix === '/' ? '' : prefix
  }

  below(path: string): Root {
    expectPath(path)
    if (path !== '/' && path.endsWith('/')) throw invalidArgument(`a chroot does not end with a slash, as ${path} does`)
    return new Root(path === '/' ? this.prefix : this.prefix + path)
  }

  /** @throws AntiphonError INVALID_ARGUMENT */
  in(path: string): string {
    expectPath(path)
    if (this.prefix === '') return path
    return path === '/' ? this.prefix : this.prefix + path
  }

  /** Of a node that is to be made. The number of a sequential one belongs to its name: `/` and a number is a child of this root. */
  inForCreate(path: string, mode: CreateMode | undefined): string {
    const target = this.in(path)
    return path === '/' && mode?.includes('sequential') === true ? `${this.prefix}/` : target
  }

  /** Is it the root, or below it? */
  holds(path: string): boolean {
    return path.startsWith(this.prefix) && (path.length === this.prefix.length || path.charCodeAt(this.prefix.length) === SLASH)
  }

  out(path: string): string {
    if (this.prefix === '') return path
    return path.length === this.prefix.length ? '/' : path.slice(this.prefix.length)
  }
}
