import { expect, test } from 'vitest'
import { formatAddress, listenAddress, parseAddress } from './address.ts'

test.each([
  ['10.0.0.1:7000', '10.0.0.1', 7000],
  ['node-1.example:80', 'node-1.example', 80],
  ['my_service:65535', 'my_service', 65535],
  ['localhost:0', 'localhost', 0],
  ['[::1]:7000', '::1', 7000],
  ['[fe80::1%eth0]:7000', 'fe80::1%eth0', 7000],
])('%s is an address', (address, host, port) => {
  expect(parseAddress(address)).toEqual({ host, port })
  expect(formatAddress({ host, port })).toBe(address)
})

test.each([
  '',
  'localhost',
  ':7000',
  '7000',
  'a:b',
  'a:-1',
  'a:65536',
  'a:1.5',
  '::1:7000',
  '[::1]',
  '[10.0.0.1]:1',
  '[x]:1',
  'tcp://a:1',
  'a b:1',
  '-a:1',
  '256.1.1.1:1',
  'a:1 ',
  'a..b:1',
])('"%s" is none', (address) => {
  expect(() => parseAddress(address)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS', remedy: expect.stringContaining('host:port') }))
})

test('where to listen can be told in two parts', () => {
  expect(listenAddress({ host: '::', port: 0 })).toEqual({ host: '::', port: 0 })
  expect(() => listenAddress({ host: '', port: 1 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => listenAddress({ host: 'a', port: Number.NaN })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => listenAddress(undefined as never)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
})
