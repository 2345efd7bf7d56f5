import { AntiphonError } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { znodeError } from './errors.ts'
import { errorOfNumber } from './results.ts'
import { CREATE_MODES, ZNODE_ERRORS, type ZnodeErrorCode } from './types.ts'

/** What a server answers (client-protocol.md section 11); the other codes are made by clients for themselves, or are never sent. */
const SENT: Readonly<Record<string, number>> = {
  OK: 0,
  RUNTIMEINCONSISTENCY: -2,
  MARSHALLINGERROR: -5,
  UNIMPLEMENTED: -6,
  BADARGUMENTS: -8,
  UNKNOWNSESSION: -12,
  NEWCONFIGNOQUORUM: -13,
  RECONFIGINPROGRESS: -14,
  NONODE: -101,
  NOAUTH: -102,
  BADVERSION: -103,
  NOCHILDRENFOREPHEMERALS: -108,
  NODEEXISTS: -110,
  NOTEMPTY: -111,
  SESSIONEXPIRED: -112,
  INVALIDACL: -114,
  AUTHFAILED: -115,
  SESSIONMOVED: -118,
  NOTREADONLY: -119,
  EPHEMERALONLOCALSESSION: -120,
  NOWATCHER: -121,
  RECONFIGDISABLED: -123,
  SESSIONCLOSEDREQUIRESASLAUTH: -124,
  QUOTAEXCEEDED: -125,
  THROTTLEDOP: -127,
}

test("each code has ZooKeeper's number, and its name but for the underscores (client-protocol.md section 11)", () => {
  expect(Object.fromEntries(Object.entries(ZNODE_ERRORS).map(([name, number]) => [name.replaceAll('_', ''), number]))).toEqual(SENT)
})

test('an error has the code, its number and the path; a number is read back to its code, and no other is', () => {
  for (const [name, number] of Object.entries(ZNODE_ERRORS) as [ZnodeErrorCode, number][]) {
    const error = znodeError(name, '/x')
    expect(error).toBeInstanceOf(AntiphonError)
    expect(error).toMatchObject({ code: 'REFUSED', outcome: 'rejected', refusal: name, details: { zookeeperCode: number, path: '/x' } })
    expect(error.remedy).not.toBe('')
    expect(errorOfNumber(number)).toBe(name)
  }
  for (const number of [1, -1, -9, -126, 32767]) expect(() => errorOfNumber(number)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
})

test('the modes of a create stand in the order of their flags (CreateModeTest)', () => {
  expect(Object.fromEntries(CREATE_MODES.map((mode, flag) => [flag, mode]))).toEqual({
    0: 'persistent',
    1: 'ephemeral',
    2: 'persistent-sequential',
    3: 'ephemeral-sequential',
    4: 'container',
    5: 'persistent-with-ttl',
    6: 'persistent-sequential-with-ttl',
  })
})
