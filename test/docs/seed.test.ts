// Each section of the README of fastify-websocket 0.5.0, in its Fastify 5 form, with real clients.
import { test } from 'tap'
import websocketStream from 'websocket-stream'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { createFastify, listen, portOf } from '../helpers/servers'

test('Usage, Global handler: an echo server with path, maxPayload and verifyClient', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    handle,
    options: {
      maxPayload: 1048576,
      path: '/fastify',
      verifyClient: function (info, next) {
        if (info.req.headers['x-fastify-header'] !== 'fastify is awesome !') {
          next(false)
          return
        }
        next(true)
      }
    }
  })
  function handle (conn: fastifyWebsocket.SocketStream) {
    conn.pipe(conn)
  }
  const origin = await listen(fastify)
  const headers = { 'x-fastify-header': 'fastify is awesome !' }

  const client = await connect(t, `${origin}/fastify`, { headers })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.equal((await refused(t, `${origin}/fastify`)).statusCode, 401)
  t.equal((await refused(t, origin, { headers })).statusCode, 404)
  client.send(Buffer.alloc(1048577))
  t.equal((await client.closed).code, 1009)
})

test('Usage, Global handler: a websocket-stream client is echoed', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: (conn) => { conn.pipe(conn) } })
  const client = websocketStream(await listen(fastify))
  t.teardown(() => client.destroy())
  client.write('hello')
  const chunk = await new Promise((resolve) => { client.once('data', resolve) })
  t.equal(String(chunk), 'hello')
})

test('Usage, Per route handler: connection.socket talks in text', async (t) => {
  const fastify = createFastify(t)
  const urls: unknown[] = []
  fastify.register(fastifyWebsocket)
  fastify.get('/', { websocket: true }, (connection, req) => {
    urls.push(req.url)
    connection.socket.on('message', message => {
      if (message === 'hi from client') connection.socket.send('hi from server')
    })
  })
  const origin = await listen(fastify)

  const client = await connect(t, origin)
  client.send('hi from client')
  const answer = await client.next()
  t.equal(answer.text, 'hi from server')
  t.equal(answer.isBinary, false)
  t.strictSame(urls, ['/'])
})

test('Usage, Per route handler: without a global handler every other path is a 404', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.get('/', { websocket: true }, (connection) => { connection.end() })
  const origin = await listen(fastify)
  const { statusCode, headers } = await refused(t, `${origin}/unregistered`)
  t.equal(statusCode, 404)
  t.equal(headers['connection'], 'close')
})

test('Usage, Per route handler: the global handler is the default handler', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle, options: { maxPayload: 1048576 } })
  function handle (conn: fastifyWebsocket.SocketStream) {
    conn.pipe(conn)
  }
  fastify.get('/', { websocket: true }, (connection) => {
    connection.socket.on('message', message => {
      connection.socket.send(`hi from server, not ${String(message)}`)
    })
  })
  const origin = await listen(fastify)

  const onRoute = await connect(t, origin)
  onRoute.send('echo')
  t.equal(await onRoute.nextText(), 'hi from server, not echo')
  const elsewhere = await connect(t, `${origin}/elsewhere`)
  elsewhere.send('echo')
  t.equal(await elsewhere.nextText(), 'echo')
})

test('Usage, Per route handler: wsHandler beside handler in the full declaration', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    handle: (conn) => { conn.pipe(conn) },
    options: { maxPayload: 1048576 }
  })
  fastify.route({
    method: 'GET',
    url: '/hello',
    handler: (req, reply) => {
      reply.send({ hello: 'world' })
    },
    wsHandler: (conn, req) => {
      conn.setEncoding('utf8')
      conn.write('hello client')

      conn.once('data', chunk => {
        t.equal(chunk, `héllo ${req.url}`)
        conn.end()
      })
    }
  })
  const origin = await listen(fastify)

  const response = await fetch(`http://127.0.0.1:${portOf(fastify.server)}/hello`)
  t.strictSame(await response.json(), { hello: 'world' })
  const client = await connect(t, `${origin}/hello`)
  t.equal(await client.nextText(), 'hello client')
  client.send('héllo /hello')
  t.equal((await client.closed).code, 1000)
})

test('Options: without server, the websocket server is bound to the instance', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: (conn) => { conn.end('bound') } })
  const client = await connect(t, await listen(fastify))
  t.equal(await client.nextText(), 'bound')
  t.equal((await client.closed).code, 1000)
  t.strictSame(fastify.websocketServer.address(), fastify.server.address())
})
