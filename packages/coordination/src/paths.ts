import { invalidArgument } from '@antiphon/ports'
import { expectPath } from './errors.ts'

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

  out(path: string): string {
    if (this.prefix === '') return path
    return path.length === this.prefix.length ? '/' : path.slice(this.prefix.length)
  }
}
