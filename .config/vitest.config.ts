import { defineConfig } from 'vitest/config'

const conditions = ['@antiphon/source', 'node', 'import', 'module', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: [
      'packages/*/src/**/*.test.ts',
      'packages/docs/**/*.test.ts',
      'packages/conformance/examples/**/*.test.ts',
      'test/**/*.test.ts',
      'examples/**/*.test.ts',
      'bench/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', '**/dist/**'],
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
