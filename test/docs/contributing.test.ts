// The house is laid out as CONTRIBUTING.md says.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'tap'
import { Document, unquote } from '../helpers/documents'
import { ROOT } from '../helpers/program'

const GUIDE = new Document('CONTRIBUTING.md')
const SOURCE = join(ROOT, 'src')
const LEAVES = ['errors.ts', 'given.ts', 'symbols.ts', 'thenable.ts', 'turn.ts']

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

test('each source file has its place in the table', async (t) => {
  const listed = GUIDE.rows('file in `src/`').flatMap(([files]) => unquote(files).split(', '))
  t.strictSame(listed.sort(), [...IMPORTS.keys()].sort())
})

test('no import is circular, and the entry imports all and is imported by none', async (t) => {
  for (const file of IMPORTS.keys()) {
    t.notOk(reach(file).has(file), `${file} does not import itself`)
    t.notOk(reach(file).has('index.ts'), `${file} does not import the entry`)
  }
  t.equal(reach('index.ts').size, IMPORTS.size - 1)
})

test('the stream imports nothing but itself and leaves, and leaves import nothing', async (t) => {
  for (const [file, imports] of IMPORTS) {
    if (LEAVES.includes(file)) t.strictSame(imports, [], file)
    if (!file.startsWith('stream/')) continue
    const foreign = imports.filter((other) => !other.startsWith('stream/'))
    t.strictSame(foreign.filter((other) => !LEAVES.includes(other)), [], file)
  }
})

test('the commands of the guide are scripts of the package', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const names = [...GUIDE.text.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name]) => name ?? '')
  t.ok(names.length >= 3)
  for (const name of names) t.ok(name in scripts, name)
})
