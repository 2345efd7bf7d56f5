import { createHash } from 'node:crypto'
import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuthScheme } from '../machine-types.ts'
import { type Acl, ADMIN, ALL, CREATE, DELETE, type Identity, OPEN_ACL, READ, WRITE } from '../types.ts'
import { AccessControl, maskAcl } from './access-control.ts'
import { toBase64 } from './base64.ts'
import { digestId } from './digest.ts'
import { addressIdentity } from './schemes.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const acl = (perms: number, scheme: string, id: string): Acl => ({ perms, scheme, id })
const who = (scheme: string, id: string): Identity => ({ scheme, id })
const access = new AccessControl()

function errorOf(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  return null
}

describe('base64', () => {
  test('is what the host makes of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (any) => {
        expect(toBase64(any)).toBe(Buffer.from(any).toString('base64'))
      }),
      { numRuns: 300, seed: 3 },
    )
  })
})

describe('digest (client-protocol.md 9; tests.md 0 and AuthTest)', () => {
  test("u:p is what Debian's server makes of it", () => {
    expect(digestId('u:p')).toBe('u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=')
    expect(access.authenticate('digest', bytes('u:p'))).toEqual([who('digest', 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=')])
  })

  test('of any credential the user, and the hash of all of it by either algorithm', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.constantFrom('SHA-1', 'SHA-256'), (text, algorithm) => {
        const hash = createHash(algorithm === 'SHA-1' ? 'sha1' : 'sha256')
          .update(text, 'utf8')
          .digest('base64')
        const [identity] = new AccessControl({ digestAlgorithm: algorithm as 'SHA-1' | 'SHA-256' }).authenticate('digest', bytes(text))
        expect(identity).toEqual(who('digest', `${text.split(':')[0]}:${hash}`))
      }),
      { numRuns: 300, seed: 4 },
    )
  })

  test.each([
    ['u:hash', true],
    [':hash', true],
    ['u:hash:', true],
    ['u', false],
    ['', false],
    [':', false],
    ['u:', false],
    ['u:a:b', false],
    ['::b', false],
  ])('the id %j in an ACL: %s, as Java splits it', (id, valid) => {
    expect(access.fixAcl([acl(ALL, 'digest', id)], []) !== null).toBe(valid)
  })

  test('a wrong password is no error, and matches nothing', () => {
    const node = [acl(ALL, 'digest', digestId('u:p'))]
    expect(access.permits(node, READ, access.authenticate('digest', bytes('u:p')))).toBe(true)
    expect(access.permits(node, READ, access.authenticate('digest', bytes('u:q')))).toBe(false)
    expect(access.permits(node, READ, access.authenticate('digest', bytes('')))).toBe(false)
  })
})

describe('super (AuthTest: superuser beats ACL)', () => {
  const superDigest = digestId('super:test')
  const withSuper = new AccessControl({ superDigest })

  test('who shows the password of superDigest may do everything, and is that digest user besides', () => {
    const identities = withSuper.authenticate('digest', bytes('super:test'))
    expect(identities).toEqual([who('super', ''), who('digest', superDigest)])
    expect(withSuper.permits([acl(READ, 'digest', 'other:x')], ADMIN, identities)).toBe(true)
    expect(withSuper.fixAcl([acl(ALL, 'auth', '')], identities)).toEqual([acl(ALL, 'digest', superDigest)])
  })

  test('nobody else is, and nobody at all without the option', () => {
    expect(withSuper.authenticate('digest', bytes('super:tess'))).toHaveLength(1)
    expect(access.authenticate('digest', bytes('super:test'))).toEqual([who('digest', superDigest)])
    expect(access.authenticate('digest', bytes(''))).toHaveLength(1)
  })

  test('the scheme super stands in no ACL, and no credential shows it', () => {
    expect(withSuper.fixAcl([acl(ALL, 'super', '')], [])).toBeNull()
    expect(errorOf(() => withSuper.authenticate('super', bytes('')))).toMatchObject({ refusal: 'AUTH_FAILED' })
  })

  test('a superDigest that is no digest id is a wrong setting', () => {
    expect(errorOf(() => new AccessControl({ superDigest: 'secret' }))).toMatchObject({ code: 'INVALID_SETTINGS' })
  })
})

describe('ip (ACLTest: CIDR of IPv4 and IPv6; IPAuthenticationProviderTest)', () => {
  test.each([
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.4', false],
    ['10.1.2.3/24', '10.1.2.200', true],
    ['10.1.2.3/24', '10.1.3.3', false],
    ['10.1.2.0/23', '10.1.3.9', true],
    ['10.1.2.128/25', '10.1.2.127', false],
    ['0.0.0.0/0', '255.1.2.3', true],
    ['10.0.0.0/0', '::1', false],
    ['10.0.0.010', '10.0.0.10', true],
    ['::1', '::1', true],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['2001:db8::/32', '2001:db8:1::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['2001:DB8::1', '2001:db8::1', true],
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.0.0.1', false],
    ['10.0.0.1', '::ffff:10.0.0.1', true],
    ['::ffff:10.0.0.0/104', '10.200.0.1', true],
    ['::ffff:10.0.0.0/104', '11.0.0.1', false],
    ['::ffff:0:0/96', '255.1.2.3', true],
    ['::ffff:0:0/95', '255.1.2.3', false],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', true],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', true],
  ])('%s means %s: %s', (range, address, meant) => {
    expect(access.fixAcl([acl(ALL, 'ip', range)], [])).toEqual([acl(ALL, 'ip', range)])
    expect(access.permits([acl(READ, 'ip', range)], READ, [who('ip', address)])).toBe(meant)
  })

  test.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.1.2',
    '10.0.0.-1',
    '10.0.0.1/33',
    '10.0.0.1/-1',
    '10.0.0.1/',
    '10.0.0.1/8/8',
    '10.0.0.a',
    '::1/129',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    '::1.2.3',
    '1.2.3.4::',
    '::g',
    'fe80::1%eth0',
  ])('%j stands in no ACL', (id) => {
    expect(access.fixAcl([acl(ALL, 'ip', id)], [])).toBeNull()
    expect(access.permits([acl(ALL, 'ip', id)], READ, [who('ip', '10.0.0.1'), who('ip', '::1')])).toBe(false)
  })

  test('the masks of any two IPv4 addresses, against arithmetic', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(32), fc.nat(32), (one, noise, shared, bits) => {
        const other = shared === 32 ? one : (one ^ (noise >>> shared)) >>> 0
        const dotted = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
        const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
        expect(access.permits([acl(READ, 'ip', `${dotted(one)}/${bits}`)], READ, [who('ip', dotted(other))])).toBe(((one ^ other) & mask) === 0)
      }),
      { numRuns: 500, seed: 5 },
    )
  })

  test('whoever has the connection says where it comes from; a credential can not', () => {
    expect(addressIdentity('::ffff:127.0.0.1')).toEqual(who('ip', '127.0.0.1'))
    expect(addressIdentity('fe80::AB%eth0')).toEqual(who('ip', 'fe80::ab'))
    expect(addressIdentity('somewhere')).toBeNull()
    expect(errorOf(() => access.authenticate('ip', bytes('10.0.0.1')))).toMatchObject({ refusal: 'AUTH_FAILED' })
    expect(errorOf(() => access.authenticate('x509', bytes('CN=root')))).toMatchObject({ refusal: 'AUTH_FAILED' })
  })
})

describe('x509 (X509AuthTest)', () => {
  test('a subject is compared as it is given', () => {
    const node = [acl(WRITE, 'x509', 'CN=web,O=Example')]
    expect(access.permits(node, WRITE, [who('x509', 'CN=web,O=Example')])).toBe(true)
    expect(access.permits(node, WRITE, [who('x509', 'CN=web')])).toBe(false)
    expect(access.permits(node, WRITE, [who('digest', 'CN=web,O=Example')])).toBe(false)
  })

  test.each([
    ['CN=a', true],
    ['CN=a,OU=b c,O=d', true],
    ['CN=a\\,b,O=c', true],
    ['CN="a,b",O=c', true],
    ['2.5.4.3=a', true],
    ['', false],
    ['a', false],
    ['CN=a,b', false],
    ['CN="a', false],
    ['CN=a,', false],
  ])('%j in an ACL: %s', (id, valid) => expect(access.fixAcl([acl(ALL, 'x509', id)], []) !== null).toBe(valid))
})

describe('an ACL that is set (client-protocol.md 9; ACLTest: null list, null entry)', () => {
  const user = who('digest', digestId('u:p'))
  const other = who('digest', digestId('v:p'))

  test.each([
    ['none', null],
    ['an empty one', []],
    ['an entry that is none', [null]],
    ['an entry without a scheme', [{ perms: 1, id: 'anyone' }]],
    ['an entry without an id', [{ perms: 1, scheme: 'world' }]],
    ['world of somebody', [acl(ALL, 'world', 'somebody')]],
    ['an unknown scheme', [acl(ALL, 'foo', 'bar')]],
    ['one bad entry among good ones', [...OPEN_ACL, acl(ALL, 'digest', 'u')]],
    ['auth of nobody', [acl(ALL, 'auth', '')]],
    ['auth of nobody behind a good one', [acl(READ, 'world', 'anyone'), acl(ALL, 'auth', '')]],
  ])('%s is INVALID_ACL', (_, given) => expect(access.fixAcl(given as readonly Acl[] | null, [who('ip', '10.0.0.1')])).toBeNull())

  test('the order is kept, duplicates are dropped, and permissions are not looked at', () => {
    const given = [
      acl(READ, 'ip', '10.0.0.1'),
      acl(READ, 'world', 'anyone'),
      acl(READ, 'ip', '10.0.0.1'),
      acl(WRITE, 'ip', '10.0.0.1'),
      acl(-1, 'world', 'anyone'),
    ]
    expect(access.fixAcl(given, [])).toEqual([given[0], given[1], given[3], given[4]])
    expect(access.fixAcl(OPEN_ACL, [])).toEqual(OPEN_ACL)
  })

  test('auth becomes every identity of the requester that is not an address, whatever its id says', () => {
    const identities = [who('ip', '10.0.0.1'), user, who('x509', 'CN=a'), other, who('super', '')]
    expect(access.fixAcl([acl(READ, 'world', 'anyone'), acl(CREATE | DELETE, 'auth', 'ignored')], identities)).toEqual([
      acl(READ, 'world', 'anyone'),
      acl(CREATE | DELETE, 'digest', user.id),
      acl(CREATE | DELETE, 'x509', 'CN=a'),
      acl(CREATE | DELETE, 'digest', other.id),
    ])
  })

  test('the wide one of 20,000 entries does not hold the thread', () => {
    const wide = Array.from({ length: 20_000 }, (_, at) => acl(READ, 'digest', `u${at}:x`))
    expect(access.fixAcl([...wide, ...wide], [])).toHaveLength(20_000)
  })
})

describe('permission', () => {
  const user = who('digest', 'u:hash')

  test('is one of those asked for, of an entry that means one of the identities', () => {
    const node = [acl(READ, 'world', 'anyone'), acl(WRITE | CREATE, 'digest', 'u:hash'), acl(ADMIN, 'digest', 'v:hash')]
    const permitted = (perms: number, identities: readonly Identity[]): boolean => access.permits(node, perms, identities)
    expect([READ, WRITE, CREATE, DELETE, ADMIN].map((perms) => permitted(perms, []))).toEqual([true, false, false, false, false])
    expect([READ, WRITE, CREATE, DELETE, ADMIN].map((perms) => permitted(perms, [user]))).toEqual([true, true, true, false, false])
    expect(permitted(DELETE | CREATE, [user])).toBe(true)
    expect(permitted(ADMIN, [user, who('digest', 'v:hash')])).toBe(true)
    expect(permitted(ALL, [])).toBe(true)
  })

  test('an empty ACL and OPEN_ACL permit everything to everybody; an ACL without bits nothing', () => {
    expect(access.permits([], ADMIN, [])).toBe(true)
    expect(access.permits(OPEN_ACL, ADMIN, [])).toBe(true)
    expect(access.permits([acl(0, 'world', 'anyone')], READ, [user])).toBe(false)
    expect(access.permits([acl(ALL, 'world', 'somebody')], READ, [who('world', 'somebody')])).toBe(false)
  })

  test('an entry of a scheme that is not known means nobody', () => {
    expect(access.permits([acl(ALL, 'sasl', 'u')], READ, [who('sasl', 'u')])).toBe(false)
  })

  test('without checks everybody may do everything, and an ACL must be valid all the same (skipACL)', () => {
    const open = new AccessControl({ checkAcls: false })
    expect(open.permits([acl(0, 'digest', 'u:x')], ADMIN, [])).toBe(true)
    expect(open.fixAcl([], [])).toBeNull()
  })
})

describe("schemes of one's own", () => {
  const team: AuthScheme = {
    name: 'team',
    authenticate: (credential) => (credential.length === 0 ? null : [who('team', new TextDecoder().decode(credential))]),
    isValid: (id) => id.startsWith('@'),
    matches: (identity, aclId) => identity.startsWith(aclId),
    userName: (identity) => identity.slice(1),
  }
  const custom = new AccessControl({ schemes: [team] })

  test('take part in everything', () => {
    const identities = custom.authenticate('team', bytes('@dev/ann'))
    expect(identities).toEqual([who('team', '@dev/ann')])
    expect(custom.permits([acl(READ, 'team', '@dev')], READ, identities)).toBe(true)
    expect(custom.permits([acl(READ, 'team', '@ops')], READ, identities)).toBe(false)
    expect(custom.fixAcl([acl(READ, 'team', 'dev')], [])).toBeNull()
    expect(custom.fixAcl([acl(READ, 'auth', '')], identities)).toEqual([acl(READ, 'team', '@dev/ann')])
    expect(custom.whoAmI(identities)).toEqual([who('team', 'dev/ann')])
  })

  test('match, and know an id, by saying true, and by nothing else: a promise of it is none', () => {
    for (const matched of [Promise.resolve(true), 1, 'yes', {}]) {
      const late = new AccessControl({ schemes: [{ ...team, matches: () => matched as unknown as boolean }] })
      expect(late.permits([acl(READ, 'team', '@dev')], READ, [who('team', '@dev')])).toBe(false)
      const valid = new AccessControl({ schemes: [{ ...team, isValid: () => matched as unknown as boolean }] })
      expect(valid.fixAcl([acl(READ, 'team', '@dev')], [])).toBeNull()
    }
  })

  test('a credential that shows nothing, and an unknown scheme, are AUTH_FAILED', () => {
    for (const [scheme, credential] of [
      ['team', ''],
      ['world', 'anyone'],
      ['auth', ''],
      ['nobody-knows', 'x'],
    ] as const) {
      const error = errorOf(() => custom.authenticate(scheme, bytes(credential)))
      expect(error).toBeInstanceOf(AntiphonError)
      expect(error).toMatchObject({ code: 'REFUSED', refusal: 'AUTH_FAILED', details: { zookeeperCode: -115 } })
    }
  })

  test.each(['world', 'auth', 'super', 'digest', 'ip', 'x509', 'team', ''])('none is called %j', (name) => {
    expect(errorOf(() => new AccessControl({ schemes: [team, { ...team, name }] }))).toMatchObject({ code: 'INVALID_SETTINGS' })
  })
})

describe('what is told', () => {
  test('whoAmI: of a digest the user, of others the id (AuthUtil)', () => {
    expect(access.whoAmI([who('ip', '10.0.0.1'), who('digest', 'u:hash'), who('super', ''), who('x509', 'CN=a')])).toEqual([
      who('ip', '10.0.0.1'),
      who('digest', 'u'),
      who('super', ''),
      who('x509', 'CN=a'),
    ])
  })

  test('getACL hides the hashes of digests (FinalRequestProcessorTest)', () => {
    const given = [acl(ALL, 'digest', 'u:hash'), acl(READ, 'ip', '::1'), acl(READ, 'digest', ':hash:'), acl(READ, 'digest', 'u')]
    expect(maskAcl(given)).toEqual([acl(ALL, 'digest', 'u:x'), acl(READ, 'ip', '::1'), acl(READ, 'digest', ':x'), acl(READ, 'digest', 'u')])
    expect(given[0]).toEqual(acl(ALL, 'digest', 'u:hash'))
    expect(maskAcl(OPEN_ACL)).toBe(OPEN_ACL)
  })
})

test('a scheme that throws has matched nobody, knows no id, shows nothing and tells nothing (client-protocol.md 9: provider error)', () => {
  const fail = (): never => {
    throw new Error('broken')
  }
  const broken = new AccessControl({ schemes: [{ name: 'broken', authenticate: fail, isValid: fail, matches: fail, userName: fail }] })
  expect(broken.permits([acl(ALL, 'broken', 'x')], READ, [who('broken', 'x')])).toBe(false)
  expect(broken.fixAcl([acl(ALL, 'broken', 'x')], [])).toBeNull()
  expect(errorOf(() => broken.authenticate('broken', bytes('x')))).toMatchObject({ refusal: 'AUTH_FAILED' })
  expect(broken.whoAmI([who('broken', 'secret')])).toEqual([who('broken', '')])
})

test('a credential is bytes', () => {
  for (const credential of ['ann:1', null, 5, [1]])
    expect(errorOf(() => access.authenticate('digest', credential as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
})
