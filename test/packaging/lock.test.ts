import { expect, test } from 'vitest'
import { lockFaults, missingOptional, namedHosts } from '../../.config/tasks/check-lock.ts'

test('the lock file serves every platform and names no registry', async () => {
  expect(await lockFaults()).toEqual([])
})

test('an optional package of another platform that the lock file does not hold is seen', () => {
  const tool = { optionalDependencies: { '@tool/linux': '1.0.0', '@tool/darwin': '1.0.0' } }
  const linux = { 'node_modules/tool': tool, 'node_modules/@tool/linux': {} }
  expect(missingOptional(linux)).toEqual(['node_modules/tool may need @tool/darwin, which the lock file does not hold'])
  expect(missingOptional({ ...linux, 'node_modules/@tool/darwin': {} })).toEqual([])
})

test('an optional package is looked for as Node does, from the dependent upwards', () => {
  const nested = {
    'node_modules/a/node_modules/tool': { optionalDependencies: { one: '1', other: '1' } },
    'node_modules/a/node_modules/one': {},
    'node_modules/other': {},
  }
  expect(missingOptional(nested)).toEqual([])
  expect(missingOptional({ ...nested, 'node_modules/b/node_modules/third': {}, 'packages/p': { optionalDependencies: { third: '1' } } })).toHaveLength(1)
})

test('a registry host in any file is seen', () => {
  const locked = (host: string): string => ['{ "node_modules/a": { "resol', `ved": "https://${host}/a/-/a-1.0.0.tgz" } }`].join('')
  expect(namedHosts('package-lock.json', locked('registry.example:4873'))).toEqual(['package-lock.json names the registry host registry.example:4873'])
  expect(namedHosts('package-lock.json', '{ "packages/a": { "resolved": "packages/a", "link": true } }')).toEqual([])
})
