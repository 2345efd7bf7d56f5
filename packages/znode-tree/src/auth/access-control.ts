import { AntiphonError, invalidArgument } from '@antiphon/ports'
import { znodeError } from '../errors.ts'
import type { AuthScheme, ZnodeTreeOptions } from '../machine-types.ts'
import { type Acl, type Identity, OPEN_ACL } from '../types.ts'
import { isDigestId, maskDigestId } from './digest.ts'
import { digestScheme, IP_SCHEME, type Scheme, X509_SCHEME } from './schemes.ts'

/** These have no credentials, and mean something of their own. */
const RESERVED: readonly string[] = ['world', 'auth', 'super']

export type AccessOptions = Pick<ZnodeTreeOptions, 'checkAcls' | 'schemes' | 'superDigest' | 'digestAlgorithm'>

/** Who may do what. Depends on its options alone, which are agreed by the ensemble. @throws AntiphonError INVALID_SETTINGS */
export class AccessControl {
  readonly #checked: boolean
  readonly #schemes = new Map<string, Scheme>()

  constructor(options: AccessOptions = {}) {
    this.#checked = options.checkAcls ?? true
    const superDigest = options.superDigest ?? ''
    if (superDigest !== '' && !isDigestId(superDigest)) throw invalid('`superDigest` is not `user:hash`', 'Make it with `digestId`.')
    for (const scheme of [digestScheme(options.digestAlgorithm ?? 'SHA-1', superDigest), IP_SCHEME, X509_SCHEME]) this.#schemes.set(scheme.name, scheme)
    for (const scheme of options.schemes ?? []) this.#plug(scheme)
  }

  #plug(scheme: AuthScheme): void {
    const { name } = scheme
    if (typeof name !== 'string' || name === '') throw invalid('a scheme has no name', 'Name it.')
    if (RESERVED.includes(name) || this.#schemes.has(name)) throw invalid(`there is a scheme ${name} already`, 'Give yours another name.')
    this.#schemes.set(name, {
      name,
      isAuthenticated: true,
      authenticate: (credential) => scheme.authenticate(credential),
      isValid: (id) => attempt(() => scheme.isValid(id) === true, false),
      matches: (identity, aclId) => attempt(() => scheme.matches(identity, aclId) === true, false),
      userName: (identity) => attempt(() => scheme.userName?.(identity) ?? identity, ''),
    })
  }

  /** Has one of `identities` one of `perms`? An empty ACL permits everybody everything, and so does the identity `super`. */
  permits(acl: readonly Acl[], perms: number, identities: readonly Identity[]): boolean {
    if (acl === OPEN_ACL || !this.#checked || acl.length === 0) return true
    for (const entry of acl) if ((entry.perms & perms) !== 0 && entry.scheme === 'world' && entry.id === 'anyone') return true
    for (const identity of identities) if (identity.scheme === 'super') return true
    for (const entry of acl) if ((entry.perms & perms) !== 0 && this.#isMeant(entry, identities)) return true
    return false
  }

  #isMeant(entry: Acl, identities: readonly Identity[]): boolean {
    const scheme = this.#schemes.get(entry.scheme)
    if (scheme === undefined) return false
    for (const identity of identities) if (identity.scheme === entry.scheme && scheme.matches(identity.id, entry.id)) return true
    return false
  }

  /**
   * The ACL that is stored for the one that was asked for: without duplicates, `auth` replaced by the requester's identities, in the order given. Null: INVALID_ACL, for there is no entry, one
   * of an unknown scheme, with an id that is not valid for it, or `auth` of a requester who has not authenticated.
   */
  fixAcl(acl: readonly Acl[] | null, identities: readonly Identity[]): readonly Acl[] | null {
    if (acl === OPEN_ACL) return acl
    if (!Array.isArray(acl) || acl.length === 0) return null
    const fixed: Acl[] = []
    const seen = new Set<string>()
    for (const entry of acl as readonly unknown[]) {
      if (!isEntry(entry)) return null
      const key = `${entry.perms} ${entry.scheme} ${entry.id}`
      if (seen.has(key)) continue
      seen.add(key)
      if (entry.scheme === 'auth') {
        const before = fixed.length
        for (const { scheme, id } of identities) if (this.#schemes.get(scheme)?.isAuthenticated) fixed.push({ perms: entry.perms, scheme, id })
        if (fixed.length === before) return null
      } else {
        if (!this.#mayStand(entry)) return null
        fixed.push({ perms: entry.perms, scheme: entry.scheme, id: entry.id })
      }
    }
    return fixed
  }

  #mayStand(entry: Acl): boolean {
    if (entry.scheme === 'world') return entry.id === 'anyone'
    return this.#schemes.get(entry.scheme)?.isValid(entry.id) ?? false
  }

  /** The identities that a credential shows. @throws AntiphonError REFUSED (AUTH_FAILED): of an unknown scheme, it shows nothing, or the scheme fails over it */
  authenticate(scheme: string, credential: Uint8Array): readonly Identity[] {
    const known = this.#schemes.get(scheme)
    if (known === undefined) throw znodeError('AUTH_FAILED', null, `AUTH_FAILED: there is no scheme ${scheme} to authenticate by`)
    if (!(credential instanceof Uint8Array)) throw invalidArgument('a credential is a Uint8Array')
    const identities = attempt(() => known.authenticate(credential), null)
    if (!Array.isArray(identities)) throw znodeError('AUTH_FAILED', null, `AUTH_FAILED: the credential shows nothing to the scheme ${scheme}`)
    return identities as readonly Identity[]
  }

  /** What of `identities` may be told: of a digest the user, of a scheme that says how what it says, of others all. */
  whoAmI(identities: readonly Identity[]): Identity[] {
    return identities.map(({ scheme, id }) => ({ scheme, id: this.#schemes.get(scheme)?.userName?.(id) ?? id }))
  }
}

/** Schemes are asked in the midst of `prepare` and `apply`, where nothing may throw: one that does has matched nobody, and knows no id. */
function attempt<T>(ask: () => T, otherwise: T): T {
  try {
    return ask()
  } catch {
    return otherwise
  }
}

/** The ACL as those see it who may read it and not change it: without the hashes of passwords. */
export function maskAcl(acl: readonly Acl[]): readonly Acl[] {
  if (acl === OPEN_ACL || !acl.some(({ scheme }) => scheme === 'digest')) return acl
  return acl.map((entry) => (entry.scheme === 'digest' ? { ...entry, id: maskDigestId(entry.id) } : entry))
}

function isEntry(entry: unknown): entry is Acl {
  if (typeof entry !== 'object' || entry === null) return false
  const { perms, scheme, id } = entry as Record<string, unknown>
  return Number.isInteger(perms) && typeof scheme === 'string' && typeof id === 'string'
}

function invalid(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}
