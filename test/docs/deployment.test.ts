// The guide to deployment: its programs run, and its nginx settings do what they are said to do.
import { once } from 'node:events'
import t, { test, type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { connect, refused, type Client } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import { findPort } from '../helpers/servers'
import { hasNginx, startNginx } from '../helpers/nginx'
import { whySkip } from '../helpers/optional'
import { echo, serve, type Served } from '../helpers/plugin'

t.setTimeout(120_000)

const GUIDE = new Document('docs/deployment.md')

const SCENARIOS: readonly Scenario[] = [
  {
    marker: "'/whoami'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/whoami`, {
        headers: { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
      })
      t.match(JSON.parse(await client.nextText()), {
        ip: '203.0.113.7', protocol: 'https', host: origin.slice(5), proxy: '127.0.0.1'
      })
    }
  },
  {
    marker: 'DRAIN_TIME',
    async check (t, origin, program) {
      const clients: Client[] = []
      for (let count = 0; count < 4; count++) clients.push(await connect(t, origin))
      for (const client of clients) t.equal(await client.nextText(), 'welcome')
      let open = clients.length
      const openAt = clients.map(async ({ closed }) => {
        t.same(await closed, { code: 1012, reason: 'restart' })
        return --open
      })
      const ended = program.kill('SIGTERM')
      await Promise.race(openAt)
      const late = await refused(t, origin)
      t.match(late, { statusCode: 503, headers: { 'retry-after': /^\d+$/ } })
      t.ok(open > 0, 'the others are still there')
      t.strictSame(await Promise.all(openAt), [3, 2, 1, 0], 'in order')
      t.match(await ended, { code: 0 })
    }
  },
  {
    marker: 'closeTimeout: 5000',
    async check (t, origin, program) {
      const client = await connect(t, origin)
      t.equal(await client.nextText(), 'welcome')
      t.match(await program.kill('SIGTERM'), { code: 0 })
      t.match(await client.closed, { code: 1001 })
    }
  },
  {
    marker: 'cluster.isPrimary',
    async check (t, origin, program) {
      await program.until(/process \d+ listens[^]*process \d+ listens/)
      const processes = new Map<string, Client>()
      // The system hands the connections around.
      while (processes.size < 2) {
        const client = await connect(t, `${origin}/room`)
        processes.set(await client.nextText(), client)
      }
      const [one, other] = [...processes.values()]
      one?.send('hello')
      t.equal(await one?.nextText(), 'hello')
      t.equal(await other?.nextText(), 'hello')
    }
  }
]

test('every program of the guide does what it says', async (t) => {
  await GUIDE.run(t, SCENARIOS)
})

/** A test that needs nginx. */
function testNginx (title: string, body: (t: Test) => Promise<void>): void {
  test(title, { skip: whySkip(hasNginx, 'no nginx found: install it or set NGINX') }, body)
}

/** An application behind the nginx of the guide, and the `ws://` origin of the latter. */
async function serveBehind (
  t: Test, served: Served, change = (settings: string): string => settings
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const { fastify, origin } = await serve(t, { ...served, server: { trustProxy: '127.0.0.1' } })
  const port = await findPort()
  const settings = change(GUIDE.blocks('nginx').join(''))
    .replace('127.0.0.1:3000', new URL(origin).host)
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
  await startNginx(t, settings, port)
  return { fastify, origin: `ws://127.0.0.1:${port}` }
}

testNginx('through nginx go messages, refusals, plain requests and who asks', async (t) => {
  const { fastify, origin } = await serveBehind(t, {
    declare: (fastify) => {
      fastify.get('/echo', { websocket: true }, echo)
      fastify.get('/who', { websocket: true }, ({ socket }, req, request) => {
        socket.send([request.ip, request.protocol, request.host].join(' '))
      })
      fastify.get('/private', {
        websocket: true,
        onRequest: async (request, reply) => reply.code(401).send('who are you?')
      }, echo)
      fastify.get('/connection', async ({ headers }) => ({ connection: headers.connection }))
    }
  })
  const client = await connect(t, `${origin}/echo`)
  for (const message of ['text', 'x'.repeat(1_000_000)]) {
    client.send(message)
    t.equal(await client.nextText(), message)
  }
  const who = await connect(t, `${origin}/who`)
  t.equal(await who.nextText(), `127.0.0.1 http ${origin.slice(5)}`)
  t.match(await refused(t, `${origin}/private`), { statusCode: 401, body: 'who are you?' })
  t.match(await refused(t, `${origin}/other`), { statusCode: 404 })
  const plain = await fetch(`${origin.replace('ws', 'http')}/connection`)
  t.strictSame(await plain.json(), {}, 'plain requests are kept alive')

  const closed = fastify.close()
  t.match(await client.closed, { code: 1001 })
  await closed
})

testNginx('nginx without the Upgrade header makes a 404 of an upgrade', async (t) => {
  const { origin } = await serveBehind(t, {
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  }, (settings) => settings.replace('proxy_set_header Upgrade $http_upgrade;', ''))
  t.match(await refused(t, `${origin}/echo`), { statusCode: 404, body: '' })
})

testNginx('nginx cuts what is silent for longer than proxy_read_timeout, not what is pinged',
  async (t) => {
    const { origin } = await serveBehind(t, {
      declare: (fastify) => {
        fastify.get('/silent', { websocket: true }, () => {})
        fastify.get('/pinged', { websocket: { heartbeat: 200 } }, () => {})
      }
    }, (settings) => settings.replace('proxy_read_timeout 60s', 'proxy_read_timeout 2s'))
    const pinged = await connect(t, `${origin}/pinged`)
    const silent = await connect(t, `${origin}/silent`)
    t.match(await silent.closed, { code: 1006 })
    for (let ping = 0; ping < 4; ping++) await once(pinged.socket, 'ping')
    t.equal(pinged.socket.readyState, pinged.socket.OPEN)
  })
