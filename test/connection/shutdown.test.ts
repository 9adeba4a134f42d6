import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { run, ROOT } from '../helpers/program'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, listen, portOf } from '../helpers/servers'
import { join } from 'node:path'

/** What came behind the head of the answer. */
function framesOf ({ received }: RawClient): Buffer {
  return received.subarray(received.indexOf('\r\n\r\n') + 4)
}

const CLOSE_1001 = Buffer.from([0x88, 0x02, 0x03, 0xe9])

test('closes with 1001 when the server closes', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const clients = await Promise.all([connect(t, origin), connect(t, origin)])
  await fastify.close()
  for (const client of clients) t.strictSame(await client.closed, { code: 1001, reason: '' })
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('what was written before close() arrives before the 1001', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: ({ socket }) => { socket.on('message', () => { answer(socket) }) } }
  })
  const size = 4 * 1024 * 1024
  function answer (socket: { send (data: string | Buffer): void }) {
    socket.send(Buffer.alloc(size, 'a'))
    socket.send('last')
    fastify.close()
  }
  const client = await connect(t, origin)
  client.send('go')
  t.equal((await client.next()).data.length, size)
  t.equal(await client.nextText(), 'last')
  t.equal((await client.closed).code, 1001)
})

test('the handler sees the close, and its stream ends', async (t) => {
  const seen: unknown[] = []
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: (connection) => {
        connection.resume().on('end', () => { seen.push('end') })
        connection.on('close', () => { seen.push(connection.closeCode) })
      }
    }
  })
  await connect(t, origin)
  await fastify.close()
  t.strictSame(seen, ['end', 1001])
})

test('a client that does not answer is terminated at closeTimeout', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo, closeTimeout: 30 } })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await fastify.close()
  await client.closed
  t.strictSame(framesOf(client), CLOSE_1001)
})

test('a client that does not answer is terminated before Fastify gives up closing', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo }, server: { pluginTimeout: 2_000 }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await t.resolves(settled(fastify.close()))
  await client.closed
  t.strictSame(framesOf(client), CLOSE_1001)
})

test('registrations close their clients at once, not one after the other', async (t) => {
  const fastify = createFastify(t)
  for (const prefix of ['/silent', '/other']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket, { handle: echo, closeTimeout: 60_000 })
    }, { prefix })
  }
  const origin = await listen(fastify)
  const silent = new RawClient(t, portOf(fastify.server))
  silent.write(upgradeHead('/silent'))
  await silent.until('\r\n\r\n')
  const other = await connect(t, `${origin}/other`)
  const closed = fastify.close()
  t.equal((await other.closed).code, 1001)
  silent.socket.destroy()
  await closed
})

test('an upgrade that a hook holds up is ended at closeTimeout', async (t) => {
  const hooked = deferred()
  const { fastify } = await serve(t, {
    plugin: { handle: echo, closeTimeout: 30 },
    declare: (fastify) => fastify.addHook('onRequest', () => { hooked.resolve(true) })
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await hooked.promise
  await fastify.close()
  await client.closed
  t.equal(client.received.length, 0)
})

for (const name of ['preHandler', 'onSend'] as const) {
  test(`an upgrade that is in an ${name} hook when the server closes gets 503`, async (t) => {
    const hooked = deferred()
    const free = deferred()
    const handled: string[] = []
    const { fastify, origin } = await serve(t, {
      plugin: { handle: () => { handled.push('handler') } },
      // The overloads of addHook take no union of names.
      declare: (fastify) => fastify.addHook(name as 'preHandler', async () => {
        hooked.resolve(true)
        await free.promise
      })
    })
    const refusal = refused(t, origin)
    await hooked.promise
    const closed = fastify.close()
    await nextTurn()
    free.resolve(true)
    const { statusCode, headers, body } = await refusal
    t.equal(statusCode, 503)
    t.match(headers['retry-after'], /^[1-9]\d*$/)
    t.match(JSON.parse(body), { statusCode: 503, message: 'the server is closing' })
    await closed
    t.strictSame(handled, [])
  })
}

test('an upgrade that comes while the server closes gets 503', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('preClose', async () => {
      const answer = await refused(t, `ws://127.0.0.1:${portOf(fastify.server)}`)
      t.equal(answer.statusCode, 503)
      t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    })
  })
  const client = await connect(t, origin)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
  t.plan(3)
})

test('preClose hooks of the user run, with a callback and async', async (t) => {
  const seen: string[] = []
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => {
      fastify.addHook('preClose', (done) => {
        seen.push('callback')
        setImmediate(done)
      })
      fastify.addHook('preClose', async () => { seen.push('async') })
    }
  })
  const client = await connect(t, origin)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
  t.strictSame(seen, ['callback', 'async'])
})

type Handle = fastifyWebsocket.WebsocketHandler

/** Where a `preClose` hook of the user can be declared. */
const PRE_CLOSE: Record<string, (
  fastify: FastifyInstance, handle: Handle, hook: () => Promise<void>
) => unknown> = {
  'before register': (fastify, handle, hook) => {
    fastify.addHook('preClose', hook)
    fastify.register(fastifyWebsocket, { handle })
  },
  'after an awaited register': async (fastify, handle, hook) => {
    await fastify.register(fastifyWebsocket, { handle })
    fastify.addHook('preClose', hook)
  },
  'in a plugin below': (fastify, handle, hook) => {
    fastify.register(fastifyWebsocket, { handle })
    fastify.register(async (scope) => {
      scope.register(async (scope) => { scope.addHook('preClose', hook) })
    })
  },
  'in the last of several plugins': (fastify, handle, hook) => {
    fastify.register(async (scope) => { scope.register(fastifyWebsocket, { handle }) })
    fastify.register(async (scope) => { scope.register(async () => {}) })
    fastify.register(async (scope) => { scope.addHook('preClose', hook) })
  }
}

for (const [where, declare] of Object.entries(PRE_CLOSE)) {
  test(`a preClose hook of the user ${where} comes before the 1001`, async (t) => {
    const sockets: fastifyWebsocket.StreamSocket[] = []
    const fastify = createFastify(t)
    await declare(fastify, ({ socket }) => { sockets.push(socket) }, async () => {
      t.match(await refused(t, origin), { statusCode: 503 })
      for (const socket of sockets) socket.close(1012)
    })
    const origin = await listen(fastify)
    const client = await connect(t, origin)
    await fastify.close()
    t.equal((await client.closed).code, 1012)
  })
}

test('close() twice resolves twice', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const client = await connect(t, origin)
  await Promise.all([fastify.close(), fastify.close()])
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

for (const options of [{}, { port: 0 }, { noServer: true }]) {
  test(`close() before ready() resolves with ${JSON.stringify(options)}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options })
    await fastify.close()
    t.equal(fastify.server.listenerCount('upgrade'), 0)
  })
}

test('close() after ready() failed resolves', async (t) => {
  const { server } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { port: portOf(server), host: '127.0.0.1' } })
  await t.rejects(listen(fastify), { code: 'FST_WS_LISTEN' })
  await fastify.close()
  t.equal(server.listening, true)
})

test('the listener of upgrade is gone afterwards, from a given server too', async (t) => {
  const { server } = await createHttp(t)
  for (let n = 0; n < 3; n++) {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { server } })
    await fastify.ready()
    t.equal(server.listenerCount('upgrade'), 1)
    await fastify.close()
    t.equal(server.listenerCount('upgrade'), 0)
  }
})

test('a client that is closing already is waited for, and keeps its code', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: ({ socket }) => { socket.close(4000) }, closeTimeout: 30 }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await fastify.close()
  await client.closed
  t.strictSame(framesOf(client), Buffer.from([0x88, 0x02, 0x0f, 0xa0]))
})

test('silent connections and refused clients do not hold up close()', async (t) => {
  const { fastify, origin } = await serve(t, { declare: (fastify) => fastify.get('/', () => '') })
  const lingering = new RawClient(t, portOf(fastify.server))
  lingering.socket.allowHalfOpen = true
  lingering.write(upgradeHead('/'))
  await lingering.until('404')
  t.equal((await refused(t, origin)).statusCode, 404)
  await fastify.close()
  t.equal(fastify.server.listening, false)
})

test('close() while a connection listener is about to accept tells that client too', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('connection', () => { fastify.close() })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1001)
})

test('a thousand clients get 1001', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const clients = await Promise.all(Array.from({ length: 1000 }, () => connect(t, origin)))
  await fastify.close()
  const codes = await Promise.all(clients.map(async ({ closed }) => (await closed).code))
  t.equal(codes.filter((code) => code === 1001).length, 1000)
})

test('the process exits by itself after close()', async (t) => {
  const output = await run(t, process.execPath, [
    '--import', 'tsx', '--input-type=commonjs', '--eval', `
      const fastifyWebsocket = require(${JSON.stringify(join(ROOT, 'src', 'index.ts'))})
      const { WebSocket } = require('ws')
      const fastify = require('fastify')()
      fastify.register(fastifyWebsocket, { handle () {} })
      fastify.listen({ port: 0, host: '127.0.0.1' }).then(async (address) => {
        const client = new WebSocket(address.replace('http', 'ws'))
        client.on('close', (code) => { console.log(code) })
        await require('events').once(client, 'open')
        await fastify.close()
        console.log('closed')
      })`
  ])
  t.strictSame(output.trim().split('\n').sort(), ['1001', 'closed'])
})

function deferred () {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

for (const clientTracking of [true, false]) {
  const given = `with clientTracking: ${clientTracking}`

  test(`without listeners a connection frees its place, and close() ends, ${given}`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: {
        handle: (connection) => {
          connection.socket.removeAllListeners()
          connection.removeAllListeners()
        },
        maxConnections: 1,
        options: { clientTracking }
      }
    })
    const first = await connect(t, origin)
    first.close()
    await first.closed
    const second = await connect(t, origin)
    const closed = once(fastify.websocketServer, 'close')
    await fastify.close()
    t.equal((await second.closed).code, 1001)
    await closed
  })

  test(`listeners that are removed during close() do not hold it up, ${given}`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: {
        handle: ({ socket }) => { socket.on('message', () => { socket.removeAllListeners() }) },
        options: { clientTracking }
      }
    })
    const client = await connect(t, origin)
    client.socket.on('close', () => {})
    client.send('while it closes')
    await fastify.close()
    t.equal((await client.closed).code, 1001)
  })

  test(`a client of handleUpgrade is told as well, ${given}`, async (t) => {
    const { origin, fastify } = await serveUpgrades(t, { clientTracking })
    await fastify.ready()
    const client = await connect(t, origin)
    t.equal(await client.nextText(), 'in')
    const closed = once(fastify.websocketServer, 'close')
    await fastify.close()
    t.equal((await client.closed).code, 1001)
    await closed
  })

  test(`handleUpgrade in a preClose hook is a 503, ${given}`, async (t) => {
    const { origin, fastify } = await serveUpgrades(t, { clientTracking })
    const answers: Array<number | undefined> = []
    fastify.addHook('preClose', async () => {
      answers.push((await refused(t, origin)).statusCode)
    })
    await fastify.ready()
    await fastify.close()
    t.strictSame(answers, [503])
  })

  test(`handleUpgrade while clients are leaving is a 503, ${given}`, async (t) => {
    const { server, origin, fastify } = await serveUpgrades(t, { clientTracking })
    await fastify.ready()
    const leaving = new RawClient(t, portOf(server))
    leaving.write(upgradeHead('/'))
    await leaving.until('\r\n\r\n')
    const closed = fastify.close()
    await leaving.until(CLOSE_1001.toString('latin1'))
    t.equal((await refused(t, origin)).statusCode, 503)
    leaving.socket.destroy()
    await closed
  })
}

/** An application with `noServer`, beside an HTTP server whose upgrades it is given. */
async function serveUpgrades (t: Test, options: fastifyWebsocket.WebsocketServerOptions) {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { ...options, noServer: true } })
  server.on('upgrade', (request, socket, head) => {
    fastify.websocketServer.handleUpgrade(request, socket, head, (socket) => { socket.send('in') })
  })
  return { server, origin, fastify }
}

test('close() ends although a handler has taken all listeners off the raw socket', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: (_connection, { socket }) => {
        // Those of ws clear its timer, for which this process would wait.
        for (const listener of socket.listeners('close')) {
          t.teardown(() => { listener.call(socket) })
        }
        socket.removeAllListeners()
      },
      closeTimeout: 30
    }
  })
  const client = await connect(t, origin)
  await fastify.close()
  await client.closed
})

for (const [what, handle] of Object.entries<fastifyWebsocket.WebsocketHandler>({
  'a paused socket': ({ socket }) => { socket.pause() },
  'a paused raw socket': (_connection, { socket }) => { socket.pause() },
  'a handler that never ends': () => new Promise(() => {}),
  'a stream that nobody reads': (connection) => { connection.on('readable', () => {}) },
  'a stream that has ended': (connection) => { connection.end() }
})) {
  for (const end of ['half-open', 'silent'] as const) {
    test(`close() ends at closeTimeout with ${what} and a ${end} client`, async (t) => {
      const { fastify } = await serve(t, { plugin: { handle, closeTimeout: 30 } })
      const client = new RawClient(t, portOf(fastify.server))
      client.socket.allowHalfOpen = true
      client.write(upgradeHead('/'))
      await client.until('\r\n\r\n')
      if (end === 'half-open') client.socket.end(Buffer.alloc(200_000))
      await fastify.close()
      t.equal(fastify.websocketServer.clients.size, 0)
      client.socket.destroy()
    })
  }
}

const FAILING_HOOKS: Record<string, () => Promise<void>> = {
  throws: async () => { throw new Error('preClose failed') },
  'never ends': () => new Promise(() => {})
}

for (const [how, hook] of Object.entries(FAILING_HOOKS)) {
  for (const order of ['before', 'after'] as const) {
    for (const listens of [true, false]) {
      const where = listens ? 'that listens' : 'in memory'
      test(`closes clients of a server ${where} though a preClose hook ${order} ours ${how}`,
        async (t) => {
          const fastify = Fastify({ pluginTimeout: 300 })
          if (order === 'before') fastify.addHook('preClose', hook)
          await fastify.register(fastifyWebsocket)
          if (order === 'after') fastify.addHook('preClose', hook)
          fastify.get('/', { websocket: true }, echo)
          const origin = listens ? await listen(fastify) : ''
          const client = listens
            ? (await connect(t, origin)).socket
            : await fastify.injectWS('/')
          const closed = once(client, 'close')
          await Promise.allSettled([fastify.close()])
          t.match(await closed, [1001])
          t.equal(fastify.websocketServer.clients.size, 0)
        })
    }
  }
}
