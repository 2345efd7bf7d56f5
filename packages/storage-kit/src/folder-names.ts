import { AntiphonError } from '@antiphon/ports'

/** Who has the folder open, for people. */
export const LOCK_NAME = 'antiphon-lock'
/** What a file is called, behind its name, until it is whole and flushed. */
export const ASIDE = '.new'

/** Whether a folder with these files is somebody else's: not empty, and without the marker by which this kind of store is known. */
export function isForeign(names: readonly string[], marker: string): boolean {
  if (names.includes(marker) || names.includes(marker + ASIDE)) return false
  return names.some((name) => name !== LOCK_NAME && name !== 'lost+found' && !name.startsWith('.'))
}

/** The folder holds other files (`names`) and not `marker`. */
export function foreignFolder(names: readonly string[], marker: string): AntiphonError {
  const some = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`
  return new AntiphonError('FOLDER_FOREIGN', `the folder holds other files (${some}) and no ${marker}`, {
    remedy: 'Give the store a folder of its own, an empty one at first.',
  })
}
