// An application of fastify-cli with @fastify/autoload loads our module, as it is built, when the
// Fastify instance is there already.
import { join } from 'node:path'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { Program, ROOT } from '../../helpers/program'
import type { Teardown } from '../../helpers/servers'

const PROGRAMS = join(ROOT, 'test', 'programs')

/** Starts a file of the application, and returns its address, too. */
async function start (
  t: Teardown, file: string, flags: readonly string[] = []
): Promise<{ program: Program, http: string, origin: string }> {
  const args = [join(PROGRAMS, 'start-app.js'), join(PROGRAMS, 'cli-app', file), ...flags]
  const program = new Program(t, process.execPath, args)
  const http = await program.address()
  return { program, http, origin: http.replace('http', 'ws') }
}

/** What a path says first, when it is told `hello`. */
async function answerOf (t: Teardown, url: string): Promise<string> {
  const client = await connect(t, url)
  client.send('hello')
  return client.nextText()
}

const ANSWERS: Record<string, string> = {
  '/echo': 'hello',
  '/echo/': 'hello',
  '/rooms/blue?key=open': 'room blue',
  '/news': 'news',
  '/': 'handle of /',
  '/page.html': 'handle of /page.html',
  '/nothing': 'handle of /nothing'
}

for (const flags of [
  [], ['--skip-override'], ['--instance-first'], ['--instance-first', '--skip-override']
]) {
  test(`autoloaded websocket routes work, started ${flags.join(' ') || 'as usual'}`, async (t) => {
    const { program, http, origin } = await start(t, 'app.js', flags)
    for (const [path, answer] of Object.entries(ANSWERS)) {
      t.equal(await answerOf(t, origin + path), answer, path)
    }
    // A hook of `autohooks.js` in the folder above.
    t.match(await refused(t, `${origin}/rooms/blue`), { statusCode: 401, body: /closed/ })

    t.same(await (await fetch(`${http}/`)).json(), { root: true })
    t.same(await (await fetch(`${http}/news`)).json(), { news: [] })
    t.match(await (await fetch(`${http}/page.html`)).text(), /page/)
    t.equal((await fetch(`${http}/echo`)).status, 404)

    const client = await connect(t, `${origin}/echo`)
    const { code, output } = await program.kill()
    t.match(await client.closed, { code: 1001 })
    t.equal(code, 0)
    t.equal(output.trim(), `listening on ${http}`, 'no warning')
  })
}

test('upgrades of a GET route that was there first are refused, with a warning', async (t) => {
  const { program, origin, http } = await start(t, 'status-first.js')
  t.equal(await (await fetch(`${http}/status`)).text(), '{"status":"ok"}')
  t.match(await refused(t, `${origin}/status`), { statusCode: 500, body: /FST_WS_UNKNOWN_ROUTE/ })
  t.equal(await answerOf(t, `${origin}/echo`), 'hello')
  const { code, output } = await program.kill()
  t.equal(code, 0)
  t.match(output, /\[FST_WS_LOADED_LATE\]/)
})

test('required on top of the file that is started, every route is known', async (t) => {
  const { program, origin } = await start(t, 'loaded-early.js')
  t.equal(await answerOf(t, `${origin}/status`), 'handle of /status')
  t.equal(await answerOf(t, `${origin}/echo`), 'hello')
  const { code, output } = await program.kill()
  t.equal(code, 0)
  t.notMatch(output, /Warning/)
})
