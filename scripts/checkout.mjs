// A copy of the checkout, in which tests run on other versions of what they run on. The scripts
// test-on-node.mjs and test-with.mjs use it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

/** Runs a program with its output on ours, and returns whether it succeeded. */
function run (file, args, options) {
  const { status, error } = spawnSync(file, args, { stdio: 'inherit', ...options })
  if (error !== undefined) throw error
  return status === 0
}

/**
 * Runs a program with its output on ours.
 *
 * @throws if the program fails
 */
export function mustRun (file, args, options) {
  if (!run(file, args, options)) throw new Error(`${file} ${args.join(' ')} has failed`)
}

function listFiles (...args) {
  const options = { cwd: ROOT, encoding: 'utf8' }
  const { stdout, status, error } = spawnSync('git', ['ls-files', '-z', ...args], options)
  if (status !== 0) throw new Error('git cannot list the files', { cause: error })
  return stdout.split('\0').filter((file) => file !== '')
}

/** The files that git knows, or would add, and that are there. */
export function listCheckout () {
  const gone = new Set(listFiles('--deleted'))
  return listFiles('--cached', '--others', '--exclude-standard').filter((file) => !gone.has(file))
}

/** Copies the checkout as it is in the working tree. */
export function copyCheckout (folder) {
  for (const file of listCheckout()) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    copyFileSync(join(ROOT, file), join(folder, file))
  }
}

/**
 * Calls a function with a new folder, which is removed afterwards, and returns what it returns. The
 * path is short: tests listen on Unix sockets below it, whose paths have 107 bytes at most.
 */
export function withFolder (prefix, use) {
  const folder = mkdtempSync(join(tmpdir(), prefix))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Runs the unit tests of a copy, or only these files, and returns whether all have passed. What has
 * failed is printed once more at the end.
 */
export function runTests (files, options) {
  const flags = files.length === 0 ? [] : ['--allow-incomplete-coverage']
  const passed = run('npm', ['run', 'unit', '--', ...flags, ...files], options)
  if (!passed) run('npm', ['run', 'failures', '--', ...flags, ...files], options)
  return passed
}

/** Prints a line for each version, and sets the exit code of the process. */
export function report (results) {
  for (const { name, passed } of results) console.log(`${name}: ${passed ? 'passed' : 'FAILED'}`)
  process.exitCode = results.every(({ passed }) => passed) ? 0 : 1
}
