// The suite cannot hide a crash: test files that crash are run as tests are, and fail.
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { Program, ROOT } from './helpers/program'
import type { Teardown } from './helpers/servers'

// Several runs of tap, beside others on a machine that may be busy.
tap.setTimeout(180_000)

/** The fixtures, and what tap has to call a failure in each: its tests, or else the file. */
const FAILURES: Record<string, readonly string[]> = {
  'by-test': [
    'throws in a timer', 'rejects in a timer', 'watches the process and does not look',
    'runs a program that throws', 'runs a program that hides what it rejects'
  ],
  'throws-late': ['throws-late.ts'],
  'throws-hidden': ['throws-hidden.ts'],
  'rejects-hidden': ['rejects-hidden.ts'],
  leaks: ['leaks.ts'],
  nothing: []
}

/** A checkout of its own, as far as tap looks: what it writes is not mixed with ours. */
function createCheckout (t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'checkout-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  for (const name of ['node_modules', 'src', 'test', 'tsconfig.json']) {
    symlinkSync(join(ROOT, name), join(folder, name))
  }
  copyFileSync(join(ROOT, '.taprc'), join(folder, '.taprc'))
  writeFileSync(join(folder, 'package.json'), '{}')
  return folder
}

/** What tap says of test files. */
async function runTap (t: Teardown, names: readonly string[]): Promise<string> {
  const files = names.map((name) => join('test', 'fixtures', 'crashes', `${name}.ts`))
  const tap = join('node_modules', '.bin', 'tap')
  const args = ['--disable-coverage', '--reporter=tap', '--jobs=2', ...files]
  const options = { cwd: createCheckout(t), mayCrash: true }
  return (await new Program(t, tap, args, options).ended).output
}

/** The names of what failed, in order. */
function failuresIn (output: string): string[] {
  return [...output.matchAll(/^ *not ok \d+ - (.+?)(?: #.*)?$/gm)].map(([, name]) => String(name))
}

test('whatever is uncaught in a test process or below it is a failure', async (t) => {
  const output = await runTap(t, Object.keys(FAILURES))
  const failures = failuresIn(output)
  for (const name of Object.values(FAILURES).flat()) {
    t.ok(failures.some((failure) => failure.endsWith(name)), `"${name}" fails`)
  }
  t.match(output, /^ok \d+ - .*nothing\.ts/m)
})
