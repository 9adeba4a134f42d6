import { createServer, type IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo } from '../helpers/plugin'
import { createFastify, listen, type Teardown } from '../helpers/servers'
import { holdTimers } from '../helpers/timers'
import { testOnce } from '../helpers/test-once'

/** As behind a proxy that serves the application under a prefix, in one of two languages. */
function rewriteUrl ({ url = '' }: IncomingMessage): string {
  return url.replace(/^\/v1(?=\/)/, '').replace(/^\/en\//, '/?lang=en&path=')
}

/** Beside how many other `upgrade` listeners. */
const NEIGHBOURS = [0, 1]

/** Serves a route that sends the URL that it sees, beside other `upgrade` listeners. */
async function serveRewritten (
  t: Teardown, neighbours: number, server: FastifyServerOptions, url = '/echo', more: object = {}
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t, server)
  for (let i = 0; i < neighbours; i++) {
    fastify.server.on('upgrade', (request, transport) => {
      if (request.url !== '/echo') return
      setImmediate(() => { transport.end(`HTTP/1.1 418 No\r\nX-Url: ${request.url}\r\n\r\n`) })
    })
  }
  fastify.register(fastifyWebsocket)
  fastify.get(url, { websocket: true, ...more }, ({ socket }, req, request) => {
    socket.send([request.url, request.originalUrl, req.url].join(' '))
  })
  return { fastify, origin: await listen(fastify) }
}

for (const neighbours of NEIGHBOURS) {
  const beside = `beside ${neighbours} other listeners`

  test(`the rewritten URL is the one that counts, ${beside}`, async (t) => {
    // No upgrade waits for another listener, which would set a timer with this delay.
    const timers = holdTimers(t, 10_000)
    const { origin } = await serveRewritten(t, neighbours, { rewriteUrl })
    for (const [path, seen] of [
      ['/v1/echo', '/echo /v1/echo /echo'],
      ['/v1/echo/', '/echo /v1/echo/ /echo'],
      ['/v1/echo/?a=/', '/echo?a=/ /v1/echo/?a=/ /echo?a=/']
    ] as const) {
      t.equal(await (await connect(t, origin + path)).nextText(), seen)
    }
    t.equal(timers.size, 0)
  })

  test(`rewriteUrl sees the URL that came, ${beside}`, async (t) => {
    // `/en/` reaches `/:room`, too, without its slash.
    const { origin } = await serveRewritten(t, neighbours, { rewriteUrl }, '/:room?')
    const client = await connect(t, `${origin}/en/`)
    t.equal(await client.nextText(), '/?lang=en&path= /en/ /?lang=en&path=')
  })

  test(`hooks run once for an upgrade, ${beside}`, async (t) => {
    let hooks = 0
    const { origin } = await serveRewritten(t, neighbours, { rewriteUrl }, '/echo', {
      onRequest: async () => { hooks++ }, onResponse: async () => { hooks++ }
    })
    await (await connect(t, `${origin}/v1/echo/`)).nextText()
    t.equal(hooks, 2)
  })

  test(`a rewriteUrl that throws is a 500, ${beside}`, async (t) => {
    const { origin } = await serveRewritten(t, neighbours, {
      rewriteUrl: (request) => {
        if (request.url === '/bad') throw new Error('rewriteUrl failed')
        return rewriteUrl(request)
      }
    })
    const { statusCode, body } = await refused(t, `${origin}/bad`)
    t.equal(statusCode, 500)
    t.match(JSON.parse(body), { message: 'rewriteUrl failed' })
    t.match(await (await connect(t, `${origin}/v1/echo`)).nextText(), /^\/echo /)
  })

  test(`constraints, sync and async, still decide, ${beside}`, async (t) => {
    const storage = () => {
      const handlers = new Map()
      return {
        get: (key: unknown) => handlers.get(key) ?? null,
        set: (key: unknown, handler: unknown) => { handlers.set(key, handler) }
      }
    }
    const asyncStrategy: object = {
      name: 'tenant',
      storage,
      deriveConstraint: (
        { headers }: IncomingMessage, _ctx: unknown,
        done: (error: null, value: unknown) => void
      ) => { setImmediate(done, null, headers['x-tenant']) }
    }
    const { origin } = await serveRewritten(t, neighbours, {
      rewriteUrl,
      // The types of Fastify have no third argument, which its documentation has.
      routerOptions: { constraints: { tenant: asyncStrategy as never } }
    }, '/echo', { constraints: { host: 'a.test', tenant: 'ours' } })
    const headers = { host: 'a.test', 'x-tenant': 'ours' }
    const url = `${origin}/v1/echo/`
    t.match(await (await connect(t, url, { headers })).nextText(), /^\/echo /)
    for (const [name, value] of [['host', 'b.test'], ['x-tenant', 'theirs']] as const) {
      const answer = await refused(t, url, { headers: { ...headers, [name]: value } })
      t.equal(answer.statusCode, 404)
    }
  })

  test(`a compiled router does the same, ${beside}`, async (t) => {
    const { origin } = await serveRewritten(t, neighbours, {
      rewriteUrl, routerOptions: { compile: true }
    })
    t.match(await (await connect(t, `${origin}/v1/echo/`)).nextText(), /^\/echo /)
  })
}

testOnce('what rewriteUrl takes away from a route of ours is left to others', async (t) => {
  const { origin } = await serveRewritten(t, 1, {
    rewriteUrl: ({ url = '' }) => url === '/echo' ? '/elsewhere' : rewriteUrl({ url } as never)
  })
  const { statusCode, headers } = await refused(t, `${origin}/echo`)
  t.equal(statusCode, 418)
  t.equal(headers['x-url'], '/echo')
})

test('other requests keep their slash', async (t) => {
  const { fastify } = await serveRewritten(t, 0, { rewriteUrl })
  const seen: unknown[] = []
  fastify.server.on('request', ({ url }) => { seen.push(url) })
  t.equal((await fastify.inject('/v1/echo/')).statusCode, 404)
  t.match((await fastify.inject('/v1/echo/')).json(), { message: 'Route GET:/echo/ not found' })
})

test('a server and a port of its own serve one application', async (t) => {
  const server = createServer()
  const fastify = createFastify(t, { rewriteUrl })
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket, { options: { server } })
    scope.get('/one', { websocket: true }, echo)
  })
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket)
    scope.get('/two', { websocket: true }, echo)
  })
  const origin = await listen(fastify)
  const client = await connect(t, `${origin}/v1/two/`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})
