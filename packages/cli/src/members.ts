import { invalidArgument } from '@antiphon/ports'

const EXAMPLE = '--members 1=./m1,2=./m2,3=./m3'

/** `1=./m1,2=./m2`: what is named for each member, in order. @throws AntiphonError INVALID_ARGUMENT */
export function readPlaces(texts: readonly string[]): Map<number, string> {
  const places = new Map<number, string>()
  for (const text of split(texts)) {
    const [, id, place] = /^([^=]*)=(.+)$/.exec(text) ?? []
    if (id === undefined || place === undefined) throw invalidArgument(`\`${text}\` names no folder for a member`, `Name one for each: ${EXAMPLE}`)
    const number = readId(id)
    if (places.has(number)) throw invalidArgument(`member ${number} is named twice`, `Name each member once: ${EXAMPLE}`)
    places.set(number, place)
  }
  if (places.size === 0) throw invalidArgument('no member is named', `Name each: ${EXAMPLE}`)
  return places
}

/** `1,2,3`. @throws AntiphonError INVALID_ARGUMENT */
export function readIds(texts: readonly string[]): number[] {
  return [...new Set(split(texts).map(readId))]
}

function split(texts: readonly string[]): string[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

function readId(text: string): number {
  const id = Number(text)
  if (!/^\d+$/.test(text) || id < 1 || id > 255) throw invalidArgument(`\`${text}\` is no member's id`, 'Ids are integers from 1 to 255.')
  return id
}
