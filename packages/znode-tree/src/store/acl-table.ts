import type { AclNumber } from '../data-tree-types.ts'
import { type Acl, OPEN_ACL } from '../types.ts'

export const OPEN: AclNumber = 0

/** Equal ACLs are kept once. */
export class AclTable {
  readonly #acls: (readonly Acl[] | null)[] = [OPEN_ACL]
  readonly #numbers = new Map<string, AclNumber>([[keyOf(OPEN_ACL), OPEN]])
  readonly #free: AclNumber[] = []
  /** Nodes that have it. */
  readonly #uses: number[] = [0]

  /** Numbers lie below this. */
  get end(): number {
    return this.#acls.length
  }

  intern(acl: readonly Acl[]): AclNumber {
    if (acl === OPEN_ACL) return OPEN
    const key = keyOf(acl)
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const number = this.#free.pop() ?? this.#acls.length
    this.#acls[number] = Object.freeze(acl.map(({ perms, scheme, id }) => Object.freeze({ perms, scheme, id })))
    this.#uses[number] = 0
    this.#numbers.set(key, number)
    return number
  }

  get(number: AclNumber): readonly Acl[] {
    const acl = this.#acls[number]
    if (acl === undefined || acl === null) throw new RangeError(`no ACL has the number ${number}`)
    return acl
  }

  has(number: AclNumber): boolean {
    return (this.#acls[number] ?? null) !== null
  }

  use(number: AclNumber): void {
    this.#uses[number]!++
  }

  unuse(number: AclNumber): void {
    this.#uses[number]!--
  }

  isUsed(number: AclNumber): boolean {
    return this.#uses[number]! > 0
  }

  /** Numbers that no node has are given to others from then on. */
  dropUnused(): void {
    for (let number = OPEN + 1; number < this.#acls.length; number++) {
      const acl = this.#acls[number]!
      if (acl === null || this.#uses[number]! > 0) continue
      this.#numbers.delete(keyOf(acl))
      this.#acls[number] = null
      this.#free.push(number)
    }
  }
}

function keyOf(acl: readonly Acl[]): string {
  let key = ''
  for (const { perms, scheme, id } of acl) key += `${perms} ${scheme.length} ${scheme}${id.length} ${id}`
  return key
}
