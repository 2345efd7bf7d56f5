import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, onTestFinished, test } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The first sample of the page. That it compiles under the strictest settings, a test of the workspace checks, as of all samples. */
async function exampleOf(page: string): Promise<string> {
  const [, code] = /^```ts\n([\s\S]*?)^```$/m.exec(await readFile(join(root, page), 'utf8')) ?? []
  return code ?? ''
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Built, and put where `antiphon` resolves as it does for whoever installed it. */
async function build(code: string): Promise<string> {
  if (!existsSync(join(root, 'packages/antiphon/dist/index.js'))) throw new Error('the example runs as its readers run it: `npm run build` first')
  const { outputText, diagnostics } = ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    reportDiagnostics: true,
  })
  expect(diagnostics).toEqual([])
  const cache = join(root, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'readme-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await writeFile(join(folder, 'example.mjs'), outputText)
  return folder
}

function run(folder: string, args: readonly string[]): { readonly child: ChildProcess; readonly said: (pattern: RegExp) => Promise<string> } {
  const child = spawn(process.execPath, ['example.mjs', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.on('exit', resolve))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let output = ''
  const waiting = new Set<() => void>()
  const take = (chunk: Buffer): void => {
    output += chunk.toString()
    for (const look of waiting) look()
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  const said = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(output)
        if (found !== null) resolve(found[1] ?? found[0])
      }
      waiting.add(look)
      child.on('exit', (code) => reject(new Error(`the example ended with ${code}: ${output}`)))
      look()
    })
  return { child, said }
}

test('the example of the README runs as three processes, which agree', { timeout: 60_000 }, async () => {
  const example = await exampleOf('README.md')
  expect(example.trimEnd().split('\n').length).toBeLessThanOrEqual(22)
  const ports = [await freePort(), await freePort(), await freePort()]
  const folder = await build(example.replace(/localhost:700([123])/g, (_all, id: string) => `localhost:${ports[Number(id) - 1]}`))
  const processes = ['1', '2', '3'].map((id) => run(folder, [id]))
  const numbers = await Promise.all(processes.map(({ said }) => said(/mine was visit (\d+)/)))
  expect(numbers.sort()).toEqual(['1', '2', '3'])
  await Promise.all(processes.map(({ said }) => said(/\/home: 3 visits/)))

  // One ends, whoever it is; started again it finds what it had, and the others still answer.
  const [first] = processes
  first!.child.kill('SIGKILL')
  await new Promise((resolve) => first!.child.on('exit', resolve))
  expect(await run(folder, ['1']).said(/mine was visit (\d+)/)).toBe('4')
  await Promise.all(processes.slice(1).map(({ said }) => said(/\/home: 4 visits/)))
})

test("the example of the package's own README runs too", { timeout: 60_000 }, async () => {
  const example = await exampleOf('packages/antiphon/README.md')
  const ports = [await freePort(), await freePort(), await freePort()]
  const [one, two, three] = ['1', '2', '3'].map((id) =>
    example
      .replace(/localhost:700([123])/g, (_all, member: string) => `localhost:${ports[Number(member) - 1]}`)
      .replace(/id: 1,/, `id: ${id},`)
      .replace('data/1', `data/${id}`),
  )
  const counts = await Promise.all([one!, two!, three!].map(async (code) => run(await build(code), []).said(/^(\d+) \{/m)))
  expect(counts.sort()).toEqual(['1', '2', '3'])
})
