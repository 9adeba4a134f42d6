import type { IncomingMessage, ServerResponse } from 'node:http'
import middie from '@fastify/middie'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

type Middleware = (
  request: IncomingMessage, response: ServerResponse, next: () => void
) => void

/** Leaves upgrades to Fastify, as the page on plugins says. */
function skipUpgrades (middleware: Middleware): Middleware {
  return (request, response, next) => {
    if (request.headers.upgrade === undefined) middleware(request, response, next)
    else next()
  }
}

/** Serves a page by Vite, whose own WebSocket is on the same server, and the route `/echo`. */
async function serveVite (
  t: Test, wrap: (middleware: Middleware) => Middleware,
  plugin: fastifyWebsocket.WebsocketPluginOptions = {}
) {
  const { createServer } = await import('vite')
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, plugin)
  await fastify.register(middie)
  const vite = await createServer({
    root: t.testdir({ 'index.html': '<title>page of Vite</title>' }),
    configFile: false,
    logLevel: 'silent',
    server: { middlewareMode: true, hmr: { server: fastify.server } }
  })
  t.teardown(() => vite.close())
  fastify.use(wrap(vite.middlewares))
  fastify.get('/echo', { websocket: true }, echo)
  fastify.addHook('preClose', () => vite.close())
  const origin = await listen(fastify)
  return { fastify, vite, origin, reload: `${origin}/?token=${vite.config.webSocketToken}` }
}

for (const plugin of [{}, { handle: echo }]) {
  const beside = 'handle' in plugin ? 'a handle for all paths' : 'a route'

  test(`beside ${beside}, Vite serves its page and reloads it`, async (t) => {
    const uncaught = watchProcess(t)
    const { fastify, vite, origin, reload } = await serveVite(t, skipUpgrades, plugin)
    const page = await fetch(origin.replace('ws', 'http'))
    t.match(await page.text(), 'page of Vite')
    const client = await connect(t, `${origin}/echo`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    const tab = await connect(t, reload, {}, ['vite-hmr'])
    t.match(JSON.parse(await tab.nextText()), { type: 'connected' })
    vite.ws.send({ type: 'full-reload' })
    t.match(JSON.parse(await tab.nextText()), { type: 'full-reload' })
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}

test('if Vite sees upgrades, it answers them with its page', async (t) => {
  const { origin } = await serveVite(t, (middleware) => middleware)
  t.match(await refused(t, `${origin}/echo`), { statusCode: 200, body: /page of Vite/ })
})
