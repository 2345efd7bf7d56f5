// Rules of dependency-cruiser.
import { readFileSync } from 'node:fs'

/**
 * Who may import whom. A key is a folder under packages/; a value names folders under packages/ and npm packages.
 * @type {Record<string, string[]>}
 */
const TABLE = JSON.parse(readFileSync(new URL('import-table.json', import.meta.url), 'utf8'))

/** Sources that may import `node:` modules: the adapters' hosts, what serves ZooKeeper's clients, and command lines. */
const HOSTS = [
  '^packages/transport-kit/src/node/',
  '^packages/transport-tcp/src/',
  '^packages/transport-websocket/src/(?!browser)',
  '^packages/storage-kit/src/node/',
  '^packages/storage-file/src/(?!engine/)',
  '^packages/storage-lmdb/src/',
  '^packages/zookeeper-(server|client)/src/',
  '^packages/cli/src/',
  '^packages/antiphon/src/',
  '^packages/simulator/src/cli(\\.ts|/)',
]

/** Tests, and what only they import. */
const TESTS = '\\.test(-support)?\\.ts$'
/** What tests are written with: nothing that is published imports it. */
const TEST_TOOLS = '^node_modules/(vitest|fast-check|hdr-histogram-js)/'

const target = (name) => (name.startsWith('storage-file/') ? '^packages/storage-file/src/engine/' : `^(packages|node_modules)/${name}/`)

const table = Object.entries(TABLE).map(([name, allowed]) => ({
  name: `table-${name}`,
  severity: 'error',
  comment: `${name} may import ${allowed.length === 0 ? 'nothing' : allowed.join(', ')}`,
  from: { path: `^packages/${name}/src/`, pathNot: TESTS },
  to: { dependencyTypesNot: ['core'], pathNot: [`^packages/${name}/`, ...allowed.map(target)] },
}))

export default {
  forbidden: [
    ...table,
    {
      name: 'row-in-the-table',
      severity: 'error',
      comment: 'each package has its row; cli, antiphon and docs may import anything',
      from: { path: '^packages/', pathNot: [TESTS, `^packages/(${[...Object.keys(TABLE), 'cli', 'antiphon', 'docs'].join('|')})/`] },
      to: {},
    },
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'node-in-hosts-alone',
      severity: 'error',
      comment: 'a browser loads everything else',
      from: { path: '^packages/[^/]+/src/', pathNot: [TESTS, ...HOSTS] },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'engine-knows-no-host',
      severity: 'error',
      comment: 'the engine of storage-file runs on a simulated disk too',
      from: { path: '^packages/storage-file/src/engine/', pathNot: TESTS },
      to: { path: ['^packages/storage-file/src/(?!engine/)', '^packages/storage-kit/src/node/'] },
    },
    {
      name: 'by-the-front-door',
      severity: 'error',
      comment: 'across packages only what `exports` names',
      from: { path: '^packages/([^/]+)/' },
      to: {
        path: '^packages/',
        pathNot: [
          '^packages/$1/',
          '^packages/[^/]+/src/index\\.ts$',
          '^packages/storage-file/src/engine/index\\.ts$',
          '^packages/(transport|storage)-kit/src/node/index\\.ts$',
        ],
      },
    },
    {
      name: 'no-test-in-a-product',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: TESTS },
      to: { path: [TESTS, TEST_TOOLS] },
    },
    { name: 'found', severity: 'error', comment: 'every import leads somewhere', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: ['node_modules'] },
    exclude: { path: ['^(packages/[^/]+|examples/[^/]+|bench|test)/dist/'] },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@antiphon/source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
}
