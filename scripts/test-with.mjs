// Runs the tests with other versions of the libraries, in a copy of the checkout:
//
//   npm run test:versions                      the oldest Fastify that is allowed, and the newest ws
//   npm run test:versions -- ws                one of the two
//   npm run test:versions -- fastify test/routes/paths.test.ts    one of the two, one file
//
// The lock file has a new Fastify, and a ws that may not be the newest, so no other run sees these.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyCheckout, listCheckout, mustRun, report, runTests, withFolder } from './checkout.mjs'

/** Tests of documents, browsers and chaos need other programs, or look at no version. */
const SKIPPED = /^test\/(docs|browser|chaos)\//

/** The package of npm to install for each name of a run. */
const PACKAGES = { fastify: `fastify@${oldestFastify()}`, ws: 'ws@latest' }

/** The first version of the peer range, which is `^` and that version. */
function oldestFastify () {
  const file = join(import.meta.dirname, '..', 'package.json')
  const range = JSON.parse(readFileSync(file, 'utf8')).peerDependencies.fastify
  const [, version] = /^\^(\d+\.\d+\.\d+)$/.exec(range) ?? []
  if (version === undefined) throw new Error(`no version is the first one of ${range}`)
  return version
}

/** What runs where no files are named. */
function listTests () {
  return listCheckout().filter((file) => file.endsWith('.test.ts') && !SKIPPED.test(file))
}

/** The version that the copy has installed. */
function installedVersion (folder, name) {
  const file = join(folder, 'node_modules', name, 'package.json')
  return JSON.parse(readFileSync(file, 'utf8')).version
}

/** Tests with one package in a folder of its own. */
function testWith (name, files) {
  return withFolder('with-', (folder) => {
    copyCheckout(folder)
    const quiet = ['--no-audit', '--no-fund']
    mustRun('npm', ['ci', ...quiet], { cwd: folder })
    mustRun('npm', ['install', '--no-save', ...quiet, PACKAGES[name]], { cwd: folder })
    const version = installedVersion(folder, name)
    console.log(`The tests run with ${name} ${version}.`)
    return { name: `${name} ${version}`, passed: runTests(files, { cwd: folder }) }
  })
}

const args = process.argv.slice(2)
const names = args.filter((arg) => arg in PACKAGES)
const given = args.filter((arg) => !(arg in PACKAGES))
const files = given.length > 0 ? given : listTests()

report((names.length > 0 ? names : Object.keys(PACKAGES)).map((name) => testWith(name, files)))
