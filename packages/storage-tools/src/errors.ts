import { AntiphonError } from '@antiphon/ports'

export function damaged(message: string, details: Readonly<Record<string, unknown>> = {}): AntiphonError {
  return new AntiphonError('CORRUPT', message, {
    remedy: 'Nothing may be made from what is damaged: use another backup, or the store of another member.',
    details,
  })
}
