import { znodeError } from './errors.ts'

const SLASH = 0x2f
const DOT = 0x2e

/** Why a path is not one, in words; null: it is. ZooKeeper's rules. */
export function pathFault(path: string): string | null {
  const length = path.length
  if (length === 0) return 'it is empty'
  if (path.charCodeAt(0) !== SLASH) return 'it does not begin with a slash'
  if (length === 1) return null
  if (path.charCodeAt(length - 1) === SLASH) return 'it ends with a slash'
  let start = 1
  for (let at = 1; at <= length; at += 1) {
    const unit = at === length ? SLASH : path.charCodeAt(at)
    if (unit === SLASH) {
      if (at === start) return `the name at ${start} is empty`
      if (isDots(path, start, at)) return `the name at ${start} is relative`
      start = at + 1
    } else if (isForbidden(unit)) {
      return `the character at ${at} is not allowed`
    }
  }
  return null
}

function isDots(path: string, start: number, end: number): boolean {
  const length = end - start
  return length <= 2 && path.charCodeAt(start) === DOT && path.charCodeAt(end - 1) === DOT
}

/** Controls; surrogates and the private use area; U+FFF0 to U+FFFF. */
function isForbidden(unit: number): boolean {
  if (unit < 0x7f) return unit <= 0x1f
  return unit <= 0x9f || (unit >= 0xd800 && unit <= 0xf8ff) || unit >= 0xfff0
}

export function isValidPath(path: string): boolean {
  return pathFault(path) === null
}

/** @throws AntiphonError REFUSED (BAD_ARGUMENTS) */
export function validatePath(path: string): void {
  const fault = pathFault(path)
  if (fault !== null) throw znodeError('BAD_ARGUMENTS', path, `The path ${JSON.stringify(path)} is not valid: ${fault}.`)
}

/** All that ZooKeeper asks of the path of a create or a delete before it looks for the parent: a slash, and no NUL. The rest is `validatePath`'s. */
export function hasParent(path: string): boolean {
  return path.includes('/') && !path.includes('\0')
}

/** What stands before the last slash; `/` of `/` and of a child of it. Of a path that `hasParent`, valid or not. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash <= 0 ? '/' : path.slice(0, slash)
}

/** What stands behind the last slash: empty of `/`. */
export function nodeName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`
}

/** Is `path` at `root` or below it? */
export function isWithin(path: string, root: string): boolean {
  return root === '/' || (path.startsWith(root) && (path.length === root.length || path.charCodeAt(root.length) === SLASH))
}

const ZEROS = '0000000000'

/**
 * The name's end of a sequential node, `%010d` of the children that the parent has had created, as 32 bits signed: behind 2147483647 comes -2147483648, and names no longer sort as they
 * were made.
 */
export function sequentialSuffix(childrenCreated: number): string {
  const number = childrenCreated | 0
  if (number < 0) return `-${String(-number).padStart(9, '0')}`
  const digits = String(number)
  return digits.length === 10 ? digits : ZEROS.slice(digits.length) + digits
}
