// Deno 2, as server and as client. Its package has no program for some systems: skipped there.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'tap'
import { ROOT, run } from '../helpers/program'

const FOLDER = join(ROOT, 'test', 'programs')
const DENO = join(FOLDER, 'node_modules', '.bin', 'deno')

const isMissing = spawnSync(DENO, ['--version']).status !== 0
const options = { skip: isMissing && 'no Deno for this system', timeout: 60_000 }

const EXPECTED = [
  'GET hello',
  'text text',
  'bytes binary bytes',
  'a handler that rejects: closed 1011',
  'a hook that refuses: refused',
  'fastify.close: closed 1001'
]

test('on Deno, routes, handle, refusals, errors and the close work', options, async (t) => {
  const env = { DENO_DIR: t.testdir(), DENO_NO_UPDATE_CHECK: '1' }
  const output = await run(t, DENO, ['run', '--allow-all', join(FOLDER, 'deno-echo.mjs')], {
    cwd: FOLDER, env
  })
  t.strictSame(output.trim().split('\n'), EXPECTED)
})
