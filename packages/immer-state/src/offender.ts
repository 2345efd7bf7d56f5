import { DEPTH_MAX, Unserialisable } from './values.ts'
import { containerOf } from './writer.ts'

/** Names the place in `root` that does not survive, for an error's message: `state.users[3].avatar is a function`. Only called once something has failed. */
export function offender(root: unknown, name: string, fallback: string): string {
  return search(root, name, []) ?? `${name} holds ${fallback}`
}

function search(value: unknown, path: string, above: object[]): string | null {
  if (typeof value === 'function' || typeof value === 'symbol') return `${path} is a ${typeof value}`
  if (typeof value !== 'object' || value === null) return null
  if (above.includes(value)) return `${path} is a cycle`
  if (above.length >= DEPTH_MAX) return `${path.slice(0, 100)}... is nested deeper than ${DEPTH_MAX} levels`
  above.push(value)
  try {
    return searchInside(value, path, above)
  } catch (error) {
    if (!(error instanceof Unserialisable)) throw error
    const made = (value as { constructor?: unknown }).constructor
    return `${path} is an instance of ${typeof made === 'function' && made.name !== '' ? made.name : 'a class'}`
  } finally {
    above.pop()
  }
}

function searchInside(value: object, path: string, above: object[]): string | null {
  switch (containerOf(value)) {
    case null:
      return null
    case 'array':
      return searchArray(value as readonly unknown[], path, above)
    case 'map':
      for (const [key, item] of value as ReadonlyMap<unknown, unknown>) {
        if ((typeof key === 'object' && key !== null) || key === undefined) return `${path} has ${key === undefined ? 'undefined' : 'an object'} as a key`
        const found = search(key, `a key of ${path}`, above) ?? search(item, `${path}.get(${JSON.stringify(String(key))})`, above)
        if (found !== null) return found
      }
      return null
    case 'set':
      for (const item of value as ReadonlySet<unknown>) {
        const found = search(item, `a member of ${path}`, above)
        if (found !== null) return found
      }
      return null
    default:
      return searchObject(value as Readonly<Record<string, unknown>>, path, above)
  }
}

function searchArray(items: readonly unknown[], path: string, above: object[]): string | null {
  for (let i = 0; i < items.length; i++) {
    if (!(i in items)) return `${path}[${i}] is a hole`
    const found = search(items[i], `${path}[${i}]`, above)
    if (found !== null) return found
  }
  return null
}

function searchObject(value: Readonly<Record<string, unknown>>, path: string, above: object[]): string | null {
  if (Object.getOwnPropertySymbols(value).length > 0) return `${path} has a symbol as a key`
  for (const key of Object.keys(value)) {
    if (key === '__proto__') return `${path} has the key __proto__`
    const found = search(value[key], /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`, above)
    if (found !== null) return found
  }
  return null
}
