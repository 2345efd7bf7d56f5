import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Sample {
  /** Beside its page, so that imports resolve as they would for a reader who puts it there. */
  readonly file: string
  readonly text: string
  readonly line: number
}

/** Each fenced block that is marked `ts` is a module of its own. */
function samplesOf(page: string, text: string): Sample[] {
  const samples: Sample[] = []
  for (const { 1: code, index } of text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
    const line = text.slice(0, index).split('\n').length
    samples.push({ file: join(root, dirname(page), `sample-at-${line}.ts`), text: `${code}\nexport {}\n`, line })
  }
  return samples
}

/** What the compiler says of the samples, under the workspace's own settings. */
function complaints(samples: readonly Sample[]): string[] {
  const { config } = ts.readConfigFile(join(root, '.config/tsconfig.base.json'), ts.sys.readFile)
  const settings = {
    ...config.compilerOptions,
    composite: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noEmit: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
  }
  const { options, errors } = ts.convertCompilerOptionsFromJson(settings, root)
  expect(errors).toEqual([])
  const texts = new Map(samples.map((sample) => [resolve(sample.file), sample.text]))
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.readFile = (file) => texts.get(resolve(file)) ?? readFile.call(host, file)
  host.fileExists = (file) => texts.has(resolve(file)) || fileExists.call(host, file)
  const program = ts.createProgram([...texts.keys()], options, host)
  return [...texts.keys()].flatMap((file) => {
    const source = program.getSourceFile(file)!
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((diagnostic) => {
      const { line } = source.getLineAndCharacterOfPosition(diagnostic.start ?? 0)
      return `${file.slice(root.length)}, its line ${line + 1}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`
    })
  })
}

/** Every page of the workspace, from its root; neither what is built nor what is installed. */
function pagesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory())
      return entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.') ? [] : pagesIn(join(folder, entry.name))
    return entry.name.endsWith('.md') ? [join(folder, entry.name)] : []
  })
}

test('every code sample of the documentation and of the READMEs is type-checked', () => {
  const samples = pagesIn('.').flatMap((page) => samplesOf(page, readFileSync(join(root, page), 'utf8')))
  expect(samples.length).toBeGreaterThan(5)
  expect(complaints(samples)).toEqual([])
}, 120_000)

test('a sample that does not compile is seen', () => {
  const page = "# A page\n\n```ts\nimport { peerId } from '@antiphon/ports'\n\nconst id: string = peerId(1)\nmissing()\n```\n"
  const found = complaints(samplesOf('packages/docs/imagined.md', page))
  expect(found).toHaveLength(2)
  expect(found[0]).toContain('packages/docs/sample-at-3.ts, its line 3')
  expect(found[1]).toContain("Cannot find name 'missing'")
}, 120_000)
