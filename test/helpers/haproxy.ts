import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { accepts } from './nginx'
import { Program, type Result } from './program'
import { turn } from './streams'

/** Where systems install it, which need not be on the path. */
const HAPROXY = ['haproxy', '/usr/sbin/haproxy'].find((file) => {
  return spawnSync(file, ['-v']).status === 0
})

/** Whether there is an HAProxy to test with. */
export const hasHaproxy = HAPROXY !== undefined

/** Runs HAProxy in the foreground, with these sections, until the test ends. */
export async function startHaproxy (t: Test, sections: string, port: number): Promise<void> {
  const folder = t.testdir({ 'haproxy.cfg': `${sections}\n` })
  const program = new Program(t, HAPROXY ?? 'haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')])
  const progress: { result?: Result } = {}
  program.ended.then((result) => { progress.result = result })
  while (!await accepts(port)) {
    if (progress.result !== undefined) throw new Error(progress.result.output)
    await turn()
  }
}
