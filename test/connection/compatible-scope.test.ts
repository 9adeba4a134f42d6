// Registrations with `compatible: '@fastify/websocket'`: what handlers and error handlers get.
import { once } from 'node:events'
import type { FastifyReply } from 'fastify'
import { test, type Test } from 'tap'
import { createWebSocketStream } from 'ws'
import fastifyWebsocket, { compatible, native } from '../../src/index'
import { connect, ping } from '../helpers/client'
import { echo, serve, settled, type Served } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen } from '../helpers/servers'

const COMPATIBLE = '@fastify/websocket'

/** Sends what a message came as: its type, `isBinary` and its text. */
const describe = compatible((socket) => {
  socket.on('message', (data, isBinary) => {
    const type = Buffer.isBuffer(data) ? 'Buffer' : typeof data
    socket.send(`${type} ${isBinary} ${String(data)}`)
  })
})

async function serveCompatible (
  t: Test, served: Omit<Served, 'plugin'>,
  options: Omit<fastifyWebsocket.CompatiblePluginOptions, 'compatible'> = {}
) {
  const fastify = createFastify(t, served.server)
  fastify.register(fastifyWebsocket, { ...options, compatible: COMPATIBLE })
  served.declare?.(fastify)
  return { fastify, origin: await listen(fastify) }
}

// --- Handlers ---

test('every kind of handler gets the socket and the request', async (t) => {
  const seen: unknown[][] = []
  const note = compatible(function (this: unknown, ...args: unknown[]) {
    seen.push([this, ...args])
  })
  const { fastify, origin } = await serveCompatible(t, {
    declare (fastify) {
      fastify.get('/short', { websocket: true }, note)
      fastify.route({ method: 'GET', url: '/full', websocket: true, handler: note })
      fastify.route({
        method: 'GET', url: '/both', handler: async () => 'plain', wsHandler: note
      })
      fastify.get('/limited', { websocket: { maxPayload: 100 } }, note)
    }
  }, { handle: note })
  for (const path of ['/short', '/full', '/both', '/limited', '/any']) {
    await connect(t, origin + path)
    const [self, socket, request, ...rest] = seen.pop() ?? []
    t.equal(self, fastify, path)
    t.ok(socket instanceof fastifyWebsocket.StreamSocket, path)
    t.equal(Object(request).url, path)
    t.strictSame(rest, [], path)
  }
})

test('a plain registration beside a compatible one keeps its arguments and its text', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket, { compatible: COMPATIBLE })
    scope.get('/compatible', { websocket: true }, describe)
  })
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket)
    scope.get('/plain', { websocket: true }, native(({ socket }, req, request) => {
      socket.on('message', (data) => {
        socket.send(`${typeof data} ${req.url} ${String(request.raw === req)}`)
      })
    }))
  })
  const origin = await listen(fastify)
  const one = await connect(t, `${origin}/compatible`)
  const other = await connect(t, `${origin}/plain`)
  for (const client of [one, other]) client.send('text')
  t.equal(await one.nextText(), 'Buffer false text')
  t.equal(await other.nextText(), 'string /plain true')
})

// --- Text ---

const TEXTS = { ascii: 'text', 'other text': 'Grüße', 'an empty text': '' }

for (const [name, text] of Object.entries(TEXTS)) {
  for (const isCompressed of [false, true]) {
    const how = isCompressed ? ', compressed,' : ''
    test(`${name}${how} reaches a message listener as a Buffer`, async (t) => {
      const { origin } = await serveCompatible(t, {
        declare: (fastify) => fastify.get('/', { websocket: true }, describe)
      }, { options: { perMessageDeflate: isCompressed && { threshold: 0 } } })
      const client = await connect(t, origin, { perMessageDeflate: isCompressed })
      client.send(text)
      t.equal(await client.nextText(), `Buffer false ${text}`)
      client.send(Buffer.from(text))
      t.equal(await client.nextText(), `Buffer true ${text}`)
    })
  }
}

test('text in fragments, and text that waited for a listener, is a Buffer', async (t) => {
  const { fastify, origin } = await serveCompatible(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true }, describe)
      fastify.get('/late', { websocket: true }, compatible(async (socket, request) => {
        await once(fastify.server, 'go on')
        Reflect.apply(describe, undefined, [socket, request])
      }))
    }
  })
  const raw = new RawClient(t, Number(new URL(origin).port))
  raw.write(upgradeHead('/'))
  await raw.until('\r\n\r\n')
  raw.write(Buffer.concat([frame(0x01, 'te'), frame(0x80, 'xt')]))
  t.match(await raw.until('text'), 'Buffer false text')

  const client = await connect(t, `${origin}/late`)
  client.send('early')
  await ping(client)
  fastify.server.emit('go on')
  t.equal(await client.nextText(), 'Buffer false early')
})

test('the data of a message event is a string, as in ws', async (t) => {
  const { origin } = await serveCompatible(t, {
    declare: (fastify) => fastify.get('/', { websocket: true }, compatible((socket) => {
      socket.addEventListener('message', ({ data }) => { socket.send(`${typeof data} ${data}`) })
    }))
  })
  const client = await connect(t, origin)
  client.send('text')
  t.equal(await client.nextText(), 'string text')
})

test('listeners of websocketServer get sockets whose text is a Buffer', async (t) => {
  const { fastify, origin } = await serveCompatible(t, {
    declare: (fastify) => fastify.get('/', { websocket: true }, compatible(() => {}))
  })
  fastify.websocketServer.on('connection', (socket) => {
    Reflect.apply(describe, undefined, [socket])
  })
  const client = await connect(t, origin)
  client.send('text')
  t.equal(await client.nextText(), 'Buffer false text')
})

test('streams that are made for the socket keep its text a Buffer', async (t) => {
  const { origin } = await serveCompatible(t, {
    declare (fastify) {
      fastify.get('/ours', { websocket: true }, compatible((socket, request) => {
        const stream = new fastifyWebsocket.SocketStream(socket, { objectMode: true })
        Reflect.apply(describe, undefined, [stream.socket, request])
      }))
      fastify.get('/ws', { websocket: true }, compatible((socket) => {
        const stream = createWebSocketStream(socket)
        stream.pipe(stream)
      }))
    }
  })
  const ours = await connect(t, `${origin}/ours`)
  ours.send('text')
  t.equal(await ours.nextText(), 'Buffer false text')
  const ws = await connect(t, `${origin}/ws`)
  ws.send('text')
  t.equal(await ws.nextText(), 'text')
})

// --- Errors ---

const FAILURES = {
  throws: compatible(() => { throw new Error('as announced') }),
  rejects: compatible(async () => { throw new Error('as announced') }),
  'has a listener that throws': compatible((socket) => {
    socket.on('message', () => { throw new Error('as announced') })
  })
}

for (const [what, handler] of Object.entries(FAILURES)) {
  test(`the error handler of a handler that ${what} gets the reply as well`, async (t) => {
    const seen: unknown[][] = []
    const { origin } = await serveCompatible(t, {
      declare (fastify) {
        fastify.register(async (scope) => {
          scope.decorate('name', 'inner')
          scope.get('/fails', { websocket: true }, handler)
        })
      }
    }, {
      errorHandler (error, socket, request, reply) {
        seen.push([Object(this).name, error.message, request.url, isReplyTo(reply, request)])
        socket.close(4500, error.message)
      }
    })
    const client = await connect(t, `${origin}/fails`)
    client.send('go')
    t.match(await client.closed, { code: 4500, reason: 'as announced' })
    t.strictSame(seen, [['inner', 'as announced', '/fails', true]])
  })
}

function isReplyTo (reply: FastifyReply, request: unknown): boolean {
  return reply.sent && reply.request === request
}

test('without an error handler, a connection is closed with 1011', async (t) => {
  const { origin } = await serveCompatible(t, {
    declare: (fastify) => fastify.get('/', { websocket: true }, FAILURES.throws)
  })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1011)
})

// --- The end ---

test('clients are closed with 1001 when the server closes', async (t) => {
  const { fastify, origin } = await serveCompatible(t, {}, { handle: compatible(() => {}) })
  const client = await connect(t, origin)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

const PRE_CLOSES = {
  'with a callback': function (this: unknown, done: () => void) {
    for (const socket of Object(this).websocketServer.clients) socket.close(4001, 'so long')
    done()
  },
  'that is async': async function (this: unknown) {
    for (const socket of Object(this).websocketServer.clients) socket.close(4001, 'so long')
  },
  'that closes the server as well': function (this: unknown, done: () => void) {
    const { websocketServer } = Object(this)
    for (const socket of websocketServer.clients) socket.close(4001, 'so long')
    websocketServer.close(done)
  }
}

for (const [what, preClose] of Object.entries(PRE_CLOSES)) {
  for (const hasClient of [true, false]) {
    const whom = hasClient ? 'a client' : 'no client'
    test(`a preClose ${what} runs before the close, with ${whom}`, async (t) => {
      const { fastify, origin } = await serveCompatible(t, {}, {
        handle: compatible(() => {}), preClose
      })
      const client = hasClient ? await connect(t, origin) : null
      await fastify.close()
      if (client !== null) t.match(await client.closed, { code: 4001, reason: 'so long' })
    })
  }
}

test('a preClose that rejects does not keep clients', async (t) => {
  const { fastify, origin } = await serveCompatible(t, {}, {
    handle: compatible(() => {}), preClose: async () => { throw new Error('as announced') }
  })
  const client = await connect(t, origin)
  await t.rejects(settled(fastify.close()), { message: 'as announced' })
  t.equal((await client.closed).code, 1001)
})

test('a client that preClose leaves open is closed with 1001', async (t) => {
  const { fastify, origin } = await serveCompatible(t, {}, {
    handle: compatible(() => {}), preClose: async () => {}
  })
  const client = await connect(t, origin)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

// --- Options ---

test('another package than @fastify/websocket is an error', async (t) => {
  for (const name of ['express-ws', true, 1]) {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, Object({ compatible: name }))
    await t.rejects(settled(fastify.ready()), { code: 'FST_WS_INVALID_OPTION' })
  }
})

test('compatible: null is a plain registration', async (t) => {
  const { origin } = await serve(t, { plugin: Object({ compatible: null, handle: echo }) })
  const client = await connect(t, origin)
  client.send('text')
  t.equal(await client.nextText(), 'text')
})
