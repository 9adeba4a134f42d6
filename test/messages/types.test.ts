// The types of messages, as a project that checks its libraries sees them. `npm run build` first.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { test } from 'tap'
import { ROOT, run } from '../helpers/program'

// A compiler reads all the libraries.
t.setTimeout(120_000)

const COMPILERS = {
  'TypeScript 6': join('typescript', 'bin', 'tsc6'),
  'TypeScript 7': join('@typescript', 'native', 'bin', 'tsc')
}

const compilerOptions = {
  target: 'es2022',
  module: 'node16',
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules', '@types')]
}

for (const [name, path] of Object.entries(COMPILERS)) {
  test(`the types of messages compile in ${name}, the libraries checked`, async (t) => {
    const source = await readFile(join(ROOT, 'test', 'messages', 'types.test-d.ts'), 'utf8')
    const folder = t.testdir({
      // An ES module, because the types of TypeBox are wrong for CommonJS.
      'types.mts': source.replace('../../src/index', 'fastify-websocket'),
      'tsconfig.json': JSON.stringify({ compilerOptions, files: ['types.mts'] })
    })
    t.equal(await run(t, process.execPath, [
      join(ROOT, 'node_modules', path), '-p', folder
    ]), '')
  })
}
