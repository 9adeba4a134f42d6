// The server of the dashboard: nothing without the token, which is in no log.
import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { test, type Test } from 'tap'
import { connect, refused, type Client } from '../helpers/client'
import { startDashboard, TOKEN } from '../helpers/dashboard'
import { startExample } from '../helpers/program'
import { portOf } from '../helpers/servers'

// Each test starts programs of TypeScript, which takes seconds on a busy machine.
t.setTimeout(120_000)

const PROTOCOLS = ['dashboard', `token.${TOKEN}`]

/** A page's connection. */
function watch (t: Test, dashboard: string): Promise<Client> {
  return connect(t, `${dashboard.replace('http', 'ws')}/stats`, {}, PROTOCOLS)
}

test('the dashboard refuses what has no token, and logs none', async (t) => {
  const { program, application, dashboard } = await startDashboard(t, {
    env: { LOG_LEVEL: 'trace' }
  })
  const url = `${dashboard}/stats`
  const wsUrl = url.replace('http', 'ws')
  const wrong = TOKEN.replace('9', '8')
  for (const authorization of ['', 'Bearer', wrong, `Bearer ${wrong}`, `Bearer ${TOKEN}0`]) {
    const response = await fetch(url, { headers: { authorization } })
    t.equal(response.status, 401, authorization)
    t.equal(response.headers.get('www-authenticate'), 'Bearer')
  }
  for (const protocols of [[], ['dashboard'], ['dashboard', `token.${wrong}`], [TOKEN]]) {
    const { statusCode } = await refused(t, wsUrl, {}, protocols)
    t.equal(statusCode, 401, protocols.join())
  }
  // The header counts for plain HTTP only.
  const headers = { authorization: `Bearer ${TOKEN}` }
  t.match(await refused(t, wsUrl, { headers }), { statusCode: 401 })
  const foreign = await refused(t, wsUrl, { origin: 'http://example.com' }, PROTOCOLS)
  t.equal(foreign.statusCode, 403)
  t.match(await refused(t, `${application}/stats`, {}, PROTOCOLS), { statusCode: 404 })

  for (const path of ['/stats', '/nothing']) await fetch(`${dashboard}${path}?${TOKEN}`)

  const client = await watch(t, dashboard)
  t.equal(client.socket.protocol, 'dashboard', 'the token is not sent back')
  t.equal((await fetch(url, { headers })).status, 200)
  const { output, code } = await program.kill()
  t.equal(code, 0)
  t.match(await client.closed, { code: 1001 })
  t.match(output, 'incoming request')
  t.notMatch(output, TOKEN)
})

test('a page gets what is kept, then a second at a time, and has nothing to say', async (t) => {
  const { application, dashboard } = await startDashboard(t)
  const echo = await connect(t, `${application}/echo`)
  const page = await watch(t, dashboard)
  const kept = JSON.parse(await page.nextText())
  echo.send('hello')
  t.equal(await echo.nextText(), 'hello')
  t.match(kept, { points: [], stats: { open: 1 }, memory: Number, uptime: Number })
  let update = JSON.parse(await page.nextText())
  const points = [...update.points]
  // The message may come after the first sample.
  while (update.stats.messagesReceived === 0) {
    t.match(update.points, [{ open: 1, received: 0, sent: 0 }])
    update = JSON.parse(await page.nextText())
    points.push(...update.points)
  }
  t.match(update.stats, { open: 1, accepted: 1, messagesReceived: 1, messagesSent: 1 })
  t.match(update.points, [{ open: 1, refused: 0, delay: Number, longestDelay: Number }])
  const [{ received, sent }] = update.points
  t.equal(received, sent)
  t.ok(received > 0 && received < 2, 'one message in a second, or in longer on a busy machine')

  const headers = { authorization: `Bearer ${TOKEN}` }
  const whole = await (await fetch(`${dashboard}/stats`, { headers })).text()
  t.strictSame(JSON.parse(whole).points.slice(-points.length), points)
  page.send('hello')
  t.match(await page.closed, { code: 1008 })
})

test('the page loads its own files only, and none needs the token', async (t) => {
  const { dashboard } = await startDashboard(t)
  const page = await fetch(dashboard)
  const policy = page.headers.get('content-security-policy')
  t.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
  t.notMatch(policy, 'unsafe')
  const html = await page.text()
  const paths = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path)
  t.equal(paths.length, 3)
  for (const path of [...paths, '/charts.js', '/uPlot.js']) {
    const { status, headers } = await fetch(`${dashboard}${path}`)
    t.equal(status, 200, path)
    t.match(headers.get('content-type'), /^text\/(css|javascript); charset=utf-8$/)
    t.equal(headers.get('content-security-policy'), policy)
  }
})

test('without a token one is made, and printed once', async (t) => {
  const { program, dashboard } = await startDashboard(t, { env: { DASHBOARD_TOKEN: '' } })
  const [, token = ''] = await program.until(/#([\w-]{32})\n/)
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await fetch(`${dashboard}/stats`, { headers })).status, 200)
  const { output } = await program.kill()
  t.equal(output.split(token).length, 2)
})

test('the load comes, talks and is refused', async (t) => {
  const { application, dashboard } = await startDashboard(t)
  startExample(t, 'dashboard/load.ts', '0', { ORIGIN: application })
  const page = await watch(t, dashboard)
  const seen = { open: false, received: false, sent: false, refused: false }
  while (Object.values(seen).includes(false)) {
    const { points } = JSON.parse(await page.nextText())
    for (const point of points) {
      for (const key of Object.keys(seen)) Object.assign(seen, point[key] > 0 && { [key]: true })
    }
  }
  t.same(seen, { open: true, received: true, sent: true, refused: true })
})

test('the dashboard does not start with a bad token, or on a port that is taken', async (t) => {
  const env = { DASHBOARD_PORT: '0', DASHBOARD_TOKEN: 'too-short' }
  const bad = startExample(t, 'dashboard/server.ts', '0', env)
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const port = String(portOf(server))
  const late = startExample(t, 'dashboard/server.ts', '0', { DASHBOARD_PORT: port })
  const refusal = await bad.ended
  t.equal(refusal.code, 1)
  t.equal(refusal.output, 'DASHBOARD_TOKEN must be 20 to 200 letters, digits, "-" or "_"\n')
  const { code, output } = await late.ended
  t.equal(code, 1)
  t.match(output, /^listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+\n$/)
})
