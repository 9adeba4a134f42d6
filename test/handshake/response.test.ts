import { EventEmitter, once } from 'node:events'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

const LARGE = 10_000_000

/** Serves `/`, whose upgrades a hook answers with `answer`. */
function refuseWith (answer: (reply: FastifyReply) => unknown) {
  return (fastify: FastifyInstance): void => {
    fastify.get('/', {
      websocket: true,
      preHandler: (_request, reply, _done) => { answer(reply) }
    }, echo)
  }
}

/** A hook's wait that the test ends. */
function createGate () {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { open, opened }
}

const LARGE_BODIES = {
  string: () => 'x'.repeat(LARGE),
  buffer: () => Buffer.alloc(LARGE, 'x'),
  stream: () => Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(LARGE / 100, 'x')))
}

for (const [kind, createBody] of Object.entries(LARGE_BODIES)) {
  test(`a ${kind} of 10 MB arrives complete with a refusal, then the socket closes`, async (t) => {
    const { fastify } = await serve(t, {
      declare: refuseWith((reply) => reply.code(401).send(createBody()))
    })
    const client = new RawClient(t, portOf(fastify.server))
    let length = 0
    let head = ''
    client.socket.removeAllListeners('data').on('data', (chunk) => {
      if (length === 0) head = chunk.toString('latin1').split('\r\n\r\n')[0] ?? ''
      length += chunk.length
    })
    const transport = once(fastify.server, 'connection')
    client.write(upgradeHead('/') + frame(0x81, 'never read'))
    await client.closed
    t.match(head, /^HTTP\/1.1 401 /)
    t.match(head, /connection: close/i)
    if (kind !== 'stream') t.equal(length, head.length + 4 + LARGE)
    else t.ok(length > LARGE)
    const [socket] = await transport
    if (!socket.destroyed) await once(socket, 'close')
    t.ok(socket.destroyed)
  })
}

for (const [given, expected] of [[undefined, '10'], ['120', '120']] as const) {
  test(`a 503 with Retry-After ${given} goes out with ${expected}`, async (t) => {
    const { origin } = await serve(t, {
      declare: refuseWith((reply) => {
        if (given !== undefined) reply.header('retry-after', given)
        reply.code(503).send('not now')
      })
    })
    t.match(await refused(t, origin), {
      statusCode: 503, body: 'not now', headers: { 'retry-after': expected }
    })
  })
}

test('the whole of a stream of 10 MB is decoded by a client', async (t) => {
  const { origin } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send(LARGE_BODIES.stream()))
  })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 401)
  t.equal(body.length, LARGE)
})

test('reason, headers and body that are written to the raw response arrive', async (t) => {
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (request, reply) => {
        reply.hijack()
        const list = ['A', '1', 'B', '2', 'B', '3', 'Connection', 'keep-alive']
        if (request.url === '/list') reply.raw.writeHead(403, list)
        else reply.raw.writeHead(403, 'Not Today', { a: '1', b: ['2', '3'] })
        reply.raw.write('one ')
        reply.raw.end('two')
      })
      fastify.get('/', { websocket: true }, echo)
    }
  })
  for (const path of ['/', '/list']) {
    const { statusCode, headers, body } = await refused(t, origin + path)
    t.equal(statusCode, 403)
    t.match(headers, { a: '1', b: '2, 3', connection: 'close' })
    t.equal(body, 'one two')
  }
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 403 Not Today\r\n/)
})

test('a hook that writes a raw head without headers is answered with that', async (t) => {
  const { origin } = await serve(t, {
    declare: refuseWith((reply) => {
      reply.hijack()
      reply.raw.writeHead(410)
      reply.raw.end()
    })
  })
  t.equal((await refused(t, origin)).statusCode, 410)
})

test('a 101 of a hook is a 500: only the handshake switches', async (t) => {
  const { origin } = await serve(t, { declare: refuseWith((reply) => reply.code(101).send()) })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: /101/ })
})

test('a header with a line break is a 500, not a header', async (t) => {
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          reply.header('x-fine', 'a').header('x-name', 'a\r\nx-evil: b')
        }
      }, echo)
    }
  })
  const { statusCode, headers } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.notOk('x-evil' in headers || 'x-fine' in headers)
})

test('a header that cannot be sent with a refusal is answered as in a plain request', async (t) => {
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        return reply.code(401).header('x-name', 'a\nb').send('no')
      })
      fastify.get('/', { websocket: true }, echo)
    }
  })
  const { statusCode, headers, body } = await refused(t, origin)
  const plain = await fetch(origin.replace('ws', 'http'))
  t.equal(statusCode, plain.status)
  t.equal(body, await plain.text())
  t.match(JSON.parse(body), { code: 'ERR_INVALID_CHAR' })
  t.notOk('x-name' in headers)
})

test('an error that a callback of ws throws is a 500', async (t) => {
  const { origin } = await serve(t, {
    plugin: {
      options: {
        handleProtocols: () => {
          const text: unknown = 'not an Error'
          throw text
        }
      }
    },
    declare (fastify) { fastify.get('/', { websocket: true }, echo) }
  })
  const { statusCode, body } = await refused(t, origin, {}, ['a'])
  t.equal(statusCode, 500)
  t.match(body, 'not an Error')
})

/** Errors that an application throws, and the status that Fastify answers with. */
const THROWN: ReadonlyArray<[what: string, error: object, status: number]> = [
  ['a status, a code and headers', {
    statusCode: 429, code: 'APP_TOO_MANY', headers: { 'retry-after': '5', 'content-length': '1' }
  }, 429],
  ['an impossible status and a code that is a number', { statusCode: 200, code: 5 }, 500],
  ['a header that cannot be sent', {
    statusCode: 429, headers: { 'retry-after': '5', 'x-bad': 'a\r\nb', 'x-none': undefined }
  }, 429],
  ['headers that are none', { headers: 'none' }, 500]
]

for (const [what, properties, status] of THROWN) {
  test(`an error with ${what} in handleProtocols is answered as that of a route`, async (t) => {
    const fail = (): never => { throw Object.assign(new Error('application'), properties) }
    const { origin } = await serve(t, {
      plugin: { options: { handleProtocols: fail } },
      declare (fastify) {
        fastify.addHook('onSend', async () => {})
        fastify.get('/', { websocket: true }, echo)
        fastify.get('/plain', fail)
      }
    })
    const { statusCode, headers, body } = await refused(t, origin, {}, ['a'])
    const plain = await fetch(`${origin.replace('ws', 'http')}/plain`)
    t.equal(statusCode, status)
    t.equal(statusCode, plain.status)
    t.equal(body, await plain.text())
    t.equal(headers['retry-after'] ?? null, plain.headers.get('retry-after'))
  })
}

test('headers of hooks go out with the 101, a list as several lines', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          reply.header('set-cookie', 'a=1').header('set-cookie', 'b=2').header('x-n', 1)
          reply.header('connection', 'close').header('sec-websocket-protocol', 'evil')
        }
      }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  const head = await client.until('\r\n\r\n')
  t.match(head, /^HTTP\/1.1 101 [^]*set-cookie: a=1\r\nset-cookie: b=2\r\nx-n: 1\r\n/)
  t.notMatch(head, /close|evil/)
})

// Name and value as a hook sets them, and what of it must not be in the 101.
const WITHHELD: Array<[headers: Record<string, string>, trace: RegExp]> = [
  [{ connection: 'close' }, /close/],
  [{ 'keep-alive': 'timeout=77' }, /keep-alive|77/i],
  [{ trailer: 'x-checksum' }, /trailer|checksum/i],
  [{ 'transfer-encoding': 'chunked' }, /transfer-encoding|chunked/i],
  [{ upgrade: 'h2c' }, /h2c/],
  [{ 'content-length': '77' }, /content-length|77/i],
  [{ 'content-type': 'text/plain' }, /content-type|plain/i],
  [{ 'sec-websocket-accept': 'evil' }, /evil/],
  [{ 'sec-websocket-protocol': 'evil' }, /evil|-protocol/i],
  [{ 'sec-websocket-extensions': 'evil' }, /evil|-extensions/i],
  [{ connection: 'X-Foo, x-bar', 'x-foo': 'evil', 'X-Bar': 'evil' }, /evil|x-foo|x-bar/i]
]

for (const [headers, trace] of WITHHELD) {
  const what = JSON.stringify(headers)
  test(`${what} of a hook does not go out with the 101`, async (t) => {
    const { fastify } = await serve(t, {
      declare: (fastify) => fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => { reply.headers({ ...headers, 'x-fine': 'fine' }) }
      }, echo)
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    const head = await client.until('\r\n\r\n')
    t.match(head, /^HTTP\/1.1 101 [^]*x-fine: fine\r\n/)
    t.equal(head.match(/^(connection|upgrade|sec-websocket-accept):/gim)?.length, 3)
    t.notMatch(head, trace)
  })
}

test('frames that come while hooks run reach the handler, in order', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const requested = once(fastify.server, 'upgrade')
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(0x81, 'one')]))
  const [, transport] = await requested
  client.write(frame(0x81, 'two'))
  await once(transport, 'data')
  gate.open()
  await client.until('\x81\x03one\x81\x03two')
  t.pass('both came back')
})

test('above 64 KiB of early frames the client feels backpressure; nothing is lost', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const requested = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  const [, transport] = await requested
  const paused = once(transport, 'pause')
  const one = frame(0x81, 'x'.repeat(100))
  client.write(Buffer.concat(Array.from({ length: 100_000 }, () => one)))
  await paused
  // 64 KiB, one read of the socket, and what Node.js reads ahead.
  t.ok(transport.bytesRead < 300_000, `${transport.bytesRead} bytes read`)
  gate.open()
  const isComplete = (): boolean => client.received.length > 100_000 * 102
  while (!isComplete()) await once(client.socket, 'data')
  t.pass('all came back')
})

test('a handler that pauses the socket at once gets nothing until it resumes it', async (t) => {
  const received: unknown[] = []
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true }, ({ socket }, req) => {
        socket.on('message', (message) => {
          received.push(message)
          socket.send('got it')
        })
        socket.pause()
        fastify.websocketServer.emit('paused', socket, req.socket)
      })
    }
  })
  const paused = once(fastify.websocketServer, 'paused')
  const client = await connect(t, origin)
  const [socket, transport] = await paused
  t.ok(transport.isPaused())
  client.send('hi')
  t.strictSame(received, [])
  socket.resume()
  t.equal(await client.nextText(), 'got it')
})

test('what a refused client has sent before is read, however much it is', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          await gate.opened
          return reply.code(401).send('no')
        }
      }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.allowHalfOpen = true
  const requested = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  const [, transport] = await requested
  const before = transport.bytesRead
  const paused = once(transport, 'pause')
  client.write(Buffer.alloc(10_000_000))
  await paused
  const closed = once(transport, 'close')
  gate.open()
  await client.until('no')
  client.socket.end()
  await closed
  t.equal(transport.bytesRead - before, 10_000_000)
})

test('a client that leaves while a hook waits fires onRequestAbort', async (t) => {
  const gate = createGate()
  const aborts = new EventEmitter()
  let handled = 0
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequestAbort', async (_request) => { aborts.emit('abort') })
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, () => { handled++ })
    }
  })
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const client = new RawClient(t, portOf(fastify.server))
    const requested = once(fastify.server, 'upgrade')
    client.write(upgradeHead('/'))
    await requested
    const aborted = once(aborts, 'abort')
    client.socket[leave]()
    await aborted
    t.pass(leave)
  }
  gate.open()
  await fastify.close()
  t.equal(handled, 0)
})

test('a client that ends its side gets a refusal that was written before', async (t) => {
  const { fastify } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send('x'.repeat(LARGE)))
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.end(upgradeHead('/'))
  await client.closed
  t.ok(client.received.length > LARGE)
})

test('a client that resets while its refusal is on the way harms nobody', async (t) => {
  const { fastify } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send('x'.repeat(LARGE)))
  })
  const connection = once(fastify.server, 'connection')
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  const [transport] = await connection
  // Not `once` of node:events, which rejects on the error.
  const closed = new Promise((resolve) => { transport.once('close', resolve) })
  await client.until('HTTP/1.1 401')
  client.socket.resetAndDestroy()
  await closed
  t.match(transport.errored, { code: /ECONNRESET|EPIPE/ })
})

test('a refused client that keeps sending is cut off', async (t) => {
  const { fastify } = await serve(t, { declare: refuseWith((reply) => reply.code(401).send('no')) })
  const connection = once(fastify.server, 'connection')
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.allowHalfOpen = true
  client.write(upgradeHead('/'))
  const [transport] = await connection
  const closed = once(transport, 'close')
  await client.until('no')
  client.write(Buffer.alloc(1_000_000))
  await closed
  t.pass('though it has not hung up')
})
