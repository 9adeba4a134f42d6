// The house is laid out as CONTRIBUTING.md says.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'tap'
import { Document, unquote } from '../helpers/documents'
import { ROOT } from '../helpers/program'

const GUIDE = new Document('CONTRIBUTING.md')
const SOURCE = join(ROOT, 'src')
/** Folders and files of `src/` in steps. A file may import from its own step and those below. */
const STEPS: string[][] = JSON.parse(readFileSync(join(ROOT, 'scripts', 'rooms.json'), 'utf8'))

/** The files of `src/`, and what each imports of them. */
const IMPORTS = new Map(readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => {
    const code = readFileSync(join(SOURCE, file), 'utf8')
    const imported = [...code.matchAll(/ from '(\.[^']+)'/g)]
    return [file, imported.map(([, path]) => normalize(join(dirname(file), `${path}.ts`)))]
  }))

/** All that a file imports, directly or not. */
function reach (file: string, found = new Set<string>()): Set<string> {
  for (const imported of IMPORTS.get(file) ?? []) {
    if (found.has(imported)) continue
    found.add(imported)
    reach(imported, found)
  }
  return found
}

/** The folder of a file, or its name if it stands directly in `src/`. */
function roomOf (file: string): string {
  return file.replace(/\/.*|\.ts$/, '')
}

function stepOf (file: string): number {
  return STEPS.findIndex((step) => step.includes(roomOf(file)))
}

test('each source file has its place in the map', async (t) => {
  const listed = GUIDE.rows('file in `src/`').flatMap(([files]) => unquote(files).split(', '))
  t.strictSame(listed.sort(), [...IMPORTS.keys()].sort())
})

test('the order of imports in the guide is the one that the linter holds', async (t) => {
  const order = STEPS.map((step) => step.map((name) => `\`${name}\``).join(', ')).join(' → ')
  t.match(GUIDE.text, order)
})

/** What a package that uses this one can import. */
const ENTRIES = ['index.ts', 'brokers/redis.ts', 'brokers/nats.ts']

test('no import goes upwards or in a circle, and the entries reach all', async (t) => {
  for (const [file, imports] of IMPORTS) {
    t.not(stepOf(file), -1, `${file} has a step`)
    t.strictSame(imports.filter((other) => stepOf(other) < stepOf(file)), [], file)
    t.notOk(reach(file).has(file), `${file} does not import itself`)
  }
  const reached = new Set(ENTRIES.flatMap((entry) => [entry, ...reach(entry)]))
  t.strictSame([...reached].sort(), [...IMPORTS.keys()].sort())
})

test('the stream stands alone, on what is below it', async (t) => {
  for (const [file, imports] of IMPORTS) {
    if (roomOf(file) !== 'stream') continue
    const foreign = imports.filter((other) => stepOf(other) === stepOf('errors.ts'))
    t.strictSame(foreign.filter((other) => other === 'errors.ts'), [], file)
  }
})

test('the commands of the guide are scripts of the package', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const names = [...GUIDE.text.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name]) => name ?? '')
  t.ok(names.length >= 3)
  for (const name of names) t.ok(name in scripts, name)
})
