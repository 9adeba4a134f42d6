import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'

const PAGE = '<script>new WebSocket(location.origin)</script>'

const greet: fastifyWebsocket.WebsocketHandler = ({ socket }, req) => {
  socket.send(`handle of ${req.url}`)
}

interface Site {
  readonly plugin?: fastifyWebsocket.WebsocketPluginOptions
  readonly wildcard?: boolean
  declare? (fastify: FastifyInstance): unknown
}

/** Serves a folder with a page under `/`, in either order beside the websocket route `/echo`. */
async function serveSite (
  t: Test, { plugin = {}, wildcard = true, declare }: Site
): Promise<{ fastify: FastifyInstance, origin: string, http: string }> {
  const root = t.testdir({ 'index.html': PAGE, 'app.js': 'script', about: { 'index.html': 'us' } })
  const { fastify, origin } = await serve(t, {
    plugin,
    declare: (fastify) => {
      fastify.register(fastifyStatic, { root, prefix: '/', wildcard })
      fastify.get('/echo', { websocket: true }, echo)
      declare?.(fastify)
    }
  })
  return { fastify, origin, http: origin.replace('ws', 'http') }
}

async function checkEcho (t: Test, url: string): Promise<void> {
  const client = await connect(t, url)
  client.send('hello')
  t.equal(await client.nextText(), 'hello', url)
}

for (const wildcard of [true, false]) {
  const title = `with wildcard: ${wildcard}`

  test(`${title}, pages are served beside websocket routes`, async (t) => {
    const { origin, http } = await serveSite(t, { wildcard })
    for (const [path, body] of [['/', PAGE], ['/app.js', 'script'], ['/about/', 'us']]) {
      const answer = await fetch(`${http}${path}`)
      t.equal(answer.status, 200)
      t.equal(await answer.text(), body)
    }
    await checkEcho(t, `${origin}/echo`)
    await checkEcho(t, `${origin}/echo/`)
    t.equal((await fetch(`${http}/echo`)).status, 404)
  })

  test(`${title}, an upgrade of a file or of nothing is refused`, async (t) => {
    const { origin } = await serveSite(t, { wildcard })
    for (const path of ['/', '/app.js', '/about/', '/nothing']) {
      t.match(await refused(t, origin + path), { statusCode: 404, body: /Not Found/ }, path)
    }
  })

  test(`${title}, handle takes the upgrades of every path, of files too`, async (t) => {
    const { origin, http } = await serveSite(t, { wildcard, plugin: { handle: greet } })
    for (const path of ['/', '/app.js', '/about/', '/nothing']) {
      const client = await connect(t, origin + path)
      t.equal(await client.nextText(), `handle of ${path}`)
    }
    await checkEcho(t, `${origin}/echo`)
    t.equal(await (await fetch(`${http}/`)).text(), PAGE)
    t.equal((await fetch(`${http}/nothing`)).status, 404)
  })
}

test('a websocket route hides the page at its path', async (t) => {
  const { origin, http } = await serveSite(t, {
    declare: (fastify) => fastify.get('/', { websocket: true }, echo)
  })
  await checkEcho(t, `${origin}/`)
  const answer = await fetch(`${http}/`)
  t.equal(answer.status, 404)
  t.equal(await answer.text(), '')
  t.equal(await (await fetch(`${http}/index.html`)).text(), PAGE)
})

test('a wsHandler beside reply.sendFile has page and websocket at one path', async (t) => {
  const { origin, http } = await serveSite(t, {
    declare: (fastify) => fastify.route({
      method: 'GET',
      url: '/',
      handler: (_request, reply) => reply.sendFile('index.html'),
      wsHandler: echo
    })
  })
  await checkEcho(t, `${origin}/`)
  t.equal(await (await fetch(`${http}/`)).text(), PAGE)
})

test('a websocket route /* and a folder under / are declared twice, says Fastify', async (t) => {
  await t.rejects(serveSite(t, {
    declare: (fastify) => fastify.get('/*', { websocket: true }, echo)
  }), { code: 'FST_ERR_DUPLICATED_ROUTE' })
})
