import type { CreateMode } from '@antiphon/znode-tree'
import { expectPath, expectSlash } from './errors.ts'

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
    return new Root(path === '/' ? this.prefix : this.prefix + path)
  }

  /** @throws AntiphonError INVALID_ARGUMENT: it is no path, as ZooKeeper's own clients say before they ask */
  in(path: string): string {
    expectPath(path)
    return this.at(path)
  }

  /** Of any text that begins with a slash: a beginning of paths, or where there is a node or none. @throws AntiphonError INVALID_ARGUMENT */
  at(text: string): string {
    expectSlash(text)
    if (this.prefix === '') return text
    return text === '/' ? this.prefix : this.prefix + text
  }

  /** Of a node that is to be made. The number of a sequential one belongs to its name: `/` and a number is a child of this root. */
  inForCreate(path: string, mode: CreateMode | undefined): string {
    if (mode?.includes('sequential') !== true) return this.in(path)
    expectPath(`${path}0`)
    return this.prefix + path
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
