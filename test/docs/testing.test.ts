// The guide to testing: its application and its tests are run as they stand there.
import { join } from 'node:path'
import { test } from 'tap'
import { compile, Document } from '../helpers/documents'
import { run } from '../helpers/program'

test('the tests of the guide pass', { timeout: 120_000 }, async (t) => {
  const [app = '', imports = '', ...recipes] = new Document('docs/testing.md').blocks('ts')
  const tests = [imports, ...recipes].join('\n').replace('./app.js', './app.mjs')
  const folder = await compile(t, { 'app.mts': app, 'app.test.mts': tests })
  const output = await run(t, process.execPath, [
    '--test', '--test-reporter', 'tap', join(folder, 'app.test.mjs')
  ])
  t.match(output, `# pass ${recipes.length}\n`)
  t.match(output, '# fail 0\n')
})
