import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../schemas/errors.ts'
import { ROOT } from './support/external.ts'

// Holds the shape of the project: imports run downwards, no cycles, nothing dead, nothing grown past its size.

/** What a file of each part may import; the longest matching key decides. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  schemas: ['schemas'],
  collector: ['collector', 'schemas'],
  analytics: ['analytics', 'schemas'],
  'dashboard/server': ['dashboard/server', 'analytics', 'schemas'],
  'dashboard/web': ['dashboard/web', 'schemas'],
  fixtures: ['fixtures', 'schemas'],
  // The launcher loads each command when it is called.
  bin: ['bin', 'collector/commands', 'dashboard/server/commands', 'fixtures/simulator/command.ts', 'schemas'],
  tests: [''],
}

/** Packages a part may import; `node:` is everywhere but in schemas and on the page. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  collector: ['node:', 'apache-arrow', 'flatbuffers', 'fzstd', 'xxhash-wasm', 'xz-decompress'],
  analytics: ['node:', 'apache-arrow', '@duckdb/node-api', 'mmdb-lib'],
  'dashboard/web': ['lit', 'uplot', '@noble/hashes'],
  'dashboard/server': ['node:', 'fastify', '@fastify/', 'prom-client'],
  fixtures: ['node:'],
  bin: ['node:'],
}

/** Loaded by name and not by import: command modules come through bin/main.ts, these do not. */
const ENTRIES = [
  'bin/main.ts',
  'bin/generate.ts',
  'collector/parse-child.ts',
  'collector/segment-worker.ts',
  'dashboard/web/digest-worker.ts',
  'dashboard/web/main.ts',
  'fixtures/make-scanner-capture.ts',
]

const LINES_MAX = 600

function sourceFiles(folder: string): string[] {
  const path = join(ROOT, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && extname(entry.name) === '.ts' && !entry.name.endsWith('.d.ts'))
    .map(entry => relative(ROOT, join(entry.parentPath, entry.name)))
}

const files = Object.keys(MAY_IMPORT).flatMap(sourceFiles)
const product = files.filter(file => !file.startsWith('tests/'))
const text = new Map(files.map(file => [file, readFileSync(join(ROOT, file), 'utf8')]))

function partOf(file: string): string {
  return Object.keys(MAY_IMPORT).find(part => file.startsWith(`${part}/`))!
}

/** Module names in import, export … from and import(); type imports too, since they are a dependency as well. */
function importsOf(file: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s(?:[^'"`;]*?from\s*)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g
  return [...text.get(file)!.matchAll(pattern)].map(match => (match[1] ?? match[2])!)
}

function targetOf(file: string, name: string): string {
  return relative(ROOT, resolve(ROOT, dirname(file), name))
}

const relativeImports = new Map(
  files.map(file => [
    file,
    importsOf(file)
      .filter(name => name.startsWith('.'))
      .map(name => targetOf(file, name)),
  ]),
)

describe('imports', () => {
  it('are found at all', () => {
    expect(relativeImports.get('schemas/flow.ts')).toContain('schemas/column.ts')
    expect(relativeImports.get('bin/main.ts')).toContain('collector/commands/collect.ts')
  })

  it('run downwards only', () => {
    const wrong = files.flatMap(file =>
      relativeImports
        .get(file)!
        .filter(target => !MAY_IMPORT[partOf(file)]!.some(allowed => target.startsWith(allowed)))
        .map(target => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('name only the packages that a part may use', () => {
    const wrong = product.flatMap(file =>
      importsOf(file)
        .filter(
          name =>
            !name.startsWith('.') &&
            !MAY_USE[partOf(file)]!.some(
              allowed =>
                name === allowed ||
                name.startsWith(allowed.endsWith(':') || allowed.endsWith('/') ? allowed : `${allowed}/`),
            ),
        )
        .map(name => `${file} imports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it('have no cycle', () => {
    const state = new Map<string, 'open' | 'done'>()
    const cycles: string[] = []
    const visit = (file: string, trail: readonly string[]): void => {
      if (state.get(file) === 'done') return
      if (state.get(file) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '))
        return
      }
      state.set(file, 'open')
      for (const target of relativeImports.get(file) ?? []) visit(target, [...trail, file])
      state.set(file, 'done')
    }
    for (const file of files) visit(file, [])
    expect(cycles).toEqual([])
  })

  it('reach every file', () => {
    const imported = new Set(
      [...relativeImports].flatMap(([file, targets]) => (file.startsWith('tests/') ? [] : targets)),
    )
    expect(product.filter(file => !imported.has(file) && !ENTRIES.includes(file))).toEqual([])
  })
})

describe('exports', () => {
  it('are used somewhere else', () => {
    const everything = [...text.values()].join('\n')
    const dead = product.flatMap(file =>
      [...text.get(file)!.matchAll(/^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm)]
        .map(match => match[1]!)
        .filter(name => {
          const uses = everything.match(new RegExp(`\\b${name}\\b`, 'g'))!.length
          const own = text.get(file)!.match(new RegExp(`\\b${name}\\b`, 'g'))!.length
          return uses === own
        })
        .map(name => `${file}: ${name}`),
    )
    expect(dead).toEqual([])
  })
})

describe('files', () => {
  it('stay below 600 lines', () => {
    expect(files.filter(file => text.get(file)!.split('\n').length > LINES_MAX)).toEqual([])
  })

  it('are no barrels and no drawers', () => {
    expect(product.filter(file => /\/(index|utils?|helpers?|misc|types)\.ts$/.test(file))).toEqual([])
  })
})

describe('errors', () => {
  it('are each thrown somewhere', () => {
    const elsewhere = product
      .filter(file => file !== 'schemas/errors.ts')
      .map(file => text.get(file)!)
      .join('\n')
    expect(Object.keys(ERROR_CODES).filter(code => !elsewhere.includes(`'${code}'`))).toEqual([])
  })

  it('are asserted by code, never by a bare throw', () => {
    const bare = files.filter(
      file =>
        file.startsWith('tests/') &&
        file !== 'tests/structure.test.ts' &&
        /\.toThrow(Error)?\(\s*\)/.test(text.get(file)!),
    )
    expect(bare).toEqual([])
  })
})
