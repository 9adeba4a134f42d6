// @fastify/http-proxy with `websocket: true` and no prefix takes every upgrade of the server.
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, createHttp, listen, portOf, type Teardown } from '../../helpers/servers'

type Listener = (...args: unknown[]) => void

const ORDERS = ['before', 'after'] as const

function say (name: string): fastifyWebsocket.WebsocketHandler {
  return ({ socket }) => { socket.send(name) }
}

/** What the README says: the proxy is asked only about paths that are not ours. */
function filterProxy ({ server }: FastifyInstance, isOurs: (url: string) => boolean): void {
  // What `listeners` returns is as it was attached.
  const [proxy] = server.listeners('upgrade') as Listener[]
  if (proxy === undefined) throw new Error('the proxy does not listen')
  server.off('upgrade', proxy)
  server.on('upgrade', (request, transport, head) => {
    if (!isOurs(String(request.url))) proxy(request, transport, head)
  })
}

/** `/echo` and a `handle` of ours, and a proxy for all paths, registered before or after. */
async function serveProxy (
  t: Teardown, order: typeof ORDERS[number], plugin: fastifyWebsocket.WebsocketPluginOptions,
  isOurs?: (url: string) => boolean
): Promise<{ fastify: FastifyInstance, origin: string, hooks: string[] }> {
  const { server, origin: upstream } = await createHttp(t)
  new WebSocketServer({ server }).on('connection', (socket) => { socket.send('upstream') })
  const fastify = createFastify(t)
  const hooks: string[] = []
  fastify.addHook('onRequest', async ({ url }) => { hooks.push(url) })
  const register = (): void => {
    fastify.register(httpProxy, { upstream: upstream.replace('ws', 'http'), websocket: true })
    if (isOurs !== undefined) fastify.after(() => { filterProxy(fastify, isOurs) })
  }
  if (order === 'before') register()
  fastify.register(fastifyWebsocket, plugin)
  if (order === 'after') register()
  fastify.get('/echo', { websocket: true }, say('route'))
  return { fastify, origin: await listen(fastify), hooks }
}

for (const order of ORDERS) {
  for (const plugin of [{}, { handle: say('handle') }]) {
    const beside = 'handle' in plugin ? 'routes and a handle' : 'routes'

    test(`a root proxy, ${order} our ${beside}, answers every upgrade once`, async (t) => {
      const { fastify, origin, hooks } = await serveProxy(t, order, plugin)
      t.equal(await (await connect(t, `${origin}/any`)).nextText(), 'upstream')
      // It asks Fastify's router for a plain answer, which `/echo` has not.
      const client = new RawClient(t, portOf(fastify.server))
      client.write(upgradeHead('/echo'))
      await client.closed
      t.match(client.received.toString(), /^HTTP\/1.1 404 /)
      t.equal(client.received.toString().match(/HTTP\/1.1/g)?.length, 1)
      t.strictSame(hooks, ['/any', '/echo'])
    })

    test(`a filtered root proxy, ${order} our ${beside}, leaves ours to us`, async (t) => {
      const prefixes = 'handle' in plugin ? ['/echo', '/ours'] : ['/echo']
      const isOurs = (url: string) => prefixes.some((prefix) => url.startsWith(prefix))
      const { origin, hooks } = await serveProxy(t, order, plugin, isOurs)
      const cases: Array<[path: string, answer: string]> = [
        ['/echo', 'route'], ['/echo/', 'route'], ['/any', 'upstream'], ['/', 'upstream']
      ]
      if ('handle' in plugin) cases.push(['/ours/1', 'handle'])
      for (const [path, answer] of cases) {
        const client = await connect(t, origin + path)
        t.equal(await client.nextText(), answer, path)
        t.strictSame(client.unread, [])
      }
      t.equal(hooks.length, cases.length)
    })
  }
}
