import { setImmediate as nextTurn } from 'node:timers/promises'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, listen, portOf, type Teardown } from '../../helpers/servers'
import { serveForeign } from '../../helpers/foreign'

const ORDERS = ['before', 'after'] as const

type Hook = NonNullable<Parameters<typeof httpProxy>[1]['preHandler']>

const HOOKS: Record<string, Hook> = {
  'answers at once': (_request, _reply, done) => { done() },
  'answers later': (_request, _reply, done) => { setImmediate(done) }
}

/** Serves `/proxy` of @fastify/http-proxy, registered before or after ours, and `/echo`. */
async function serveProxy (
  t: Teardown, order: typeof ORDERS[number], preHandler: Hook,
  plugin: fastifyWebsocket.WebsocketPluginOptions = {}
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const { origin } = await serveForeign(t)
  const fastify = createFastify(t)
  const upstream = origin.replace('ws', 'http')
  const options = { upstream, prefix: '/proxy', websocket: true, preHandler } as const
  if (order === 'before') fastify.register(httpProxy, options)
  fastify.register(fastifyWebsocket, plugin)
  if (order === 'after') fastify.register(httpProxy, options)
  fastify.get('/echo', { websocket: true }, echo)
  return { fastify, origin: await listen(fastify) }
}

for (const order of ORDERS) {
  for (const [when, preHandler] of Object.entries(HOOKS)) {
    for (const plugin of [{}, { handle: echo }]) {
      const beside = 'handle' in plugin ? 'our routes and handle' : 'our routes'
      test(`http-proxy that ${when}, ${order} ours, works beside ${beside}`, async (t) => {
        const { fastify, origin } = await serveProxy(t, order, preHandler, plugin)
        const theirs = await connect(t, `${origin}/proxy/foreign?a=b`)
        theirs.send('hello')
        t.equal(await theirs.nextText(), '/foreign?a=b hello')
        for (const path of ['/echo', '/echo/', ...('handle' in plugin ? ['/any'] : [])]) {
          const ours = await connect(t, origin + path)
          ours.send('hello')
          t.equal(await ours.nextText(), 'hello', path)
        }
        const answer = await fetch(`${origin.replace('ws', 'http')}/proxy/plain`)
        t.equal(await answer.text(), 'plain')
        theirs.send('still here')
        t.equal(await theirs.nextText(), '/foreign?a=b still here')
        t.equal(fastify.websocketServer.clients.size, 'handle' in plugin ? 3 : 2)
        await fastify.close()
        t.ok((await theirs.closed).code >= 1000)
        t.equal(fastify.server.listenerCount('upgrade'), 1, 'that of the proxy, for good')
      })
    }
  }

  test(`what http-proxy, ${order} ours, refuses later is answered once`, async (t) => {
    const { fastify } = await serveProxy(t, order, (_request, reply, done) => {
      setImmediate(() => {
        reply.code(401).header('connection', 'close').send('no')
        done()
      })
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/proxy/foreign'))
    t.match(await client.until('no'), /^HTTP\/1.1 401 /)
    await nextTurn()
    t.equal(client.received.toString().match(/HTTP\/1.1/g)?.length, 1)
    client.socket.destroy()
  })
}
