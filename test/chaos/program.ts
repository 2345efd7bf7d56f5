import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url))
const SOURCES = [new URL('./member.ts', import.meta.url), new URL('./machine.ts', import.meta.url), new URL('./stores.ts', import.meta.url)]
const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
}

/** Writes the members' program into `folder` as JavaScript, on the packages as they were built, and resolves with its path: members begin all the time, and to load a compiler takes longer than the rest. */
export async function writeProgram(folder: string): Promise<string> {
  const program = join(folder, 'program')
  await mkdir(program)
  await symlink(MODULES, join(program, 'node_modules'))
  await writeFile(join(program, 'package.json'), '{ "type": "module" }')
  for (const source of SOURCES) {
    const { outputText } = ts.transpileModule(await readFile(source, 'utf8'), { compilerOptions: OPTIONS })
    await writeFile(join(program, basename(source.pathname).replace(/ts$/, 'js')), outputText)
  }
  return join(program, 'member.js')
}
