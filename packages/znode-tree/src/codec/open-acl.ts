import { type Acl, ALL, OPEN_ACL } from '../types.ts'

/** Is it what OPEN_ACL is? */
export function isOpen(acl: readonly Acl[]): boolean {
  if (acl === OPEN_ACL) return true
  const [entry] = acl
  return acl.length === 1 && entry!.perms === ALL && entry!.scheme === 'world' && entry!.id === 'anyone'
}
