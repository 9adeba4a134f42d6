// Late loads in programs of their own. Each section of the README of fastify-websocket 0.5.0 runs
// in its own idiom: Fastify is loaded and the instance made first, then comes
// `register(require('fastify-websocket'))`, and the routes are on the next lines.
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect, refused, type Client } from '../helpers/client'
import { Program, ROOT, run } from '../helpers/program'
import type { Teardown } from '../helpers/servers'

t.setTimeout(120_000)

const SOURCE = JSON.stringify(join(ROOT, 'src', 'index.ts'))

/** The arguments that run a program of CommonJS on our source. */
function argumentsOf (program: string): string[] {
  const source = `'use strict'\n${program.replaceAll("'fastify-websocket'", SOURCE)}`
  return ['--import', 'tsx', '--input-type=commonjs', '--eval', source]
}

const LISTEN = `
  fastify.listen({ port: 0, host: '127.0.0.1' }, (err, address) => {
    if (err) {
      fastify.log.error(err)
      process.exit(1)
    }
    console.log(address)
  })`

interface Served {
  readonly http: string
  readonly origin: string
  readonly program: Program
}

/** Runs a program that listens, and checks that it warns of nothing. */
async function start (t: Teardown, program: string): Promise<Served> {
  const running = new Program(t, process.execPath, argumentsOf(program + LISTEN))
  const http = await running.address()
  return { http, origin: http.replace('http', 'ws'), program: running }
}

async function ask (client: Client, text: string): Promise<string> {
  client.send(text)
  return client.nextText()
}

const ECHO = 'function handle (conn) { conn.pipe(conn) }'

test('Global handler: an echo server with path, maxPayload and verifyClient', async (t) => {
  const { origin } = await start(t, `
    const fastify = require('fastify')()

    fastify.register(require('fastify-websocket'), {
      handle,
      options: {
        maxPayload: 1048576,
        path: '/fastify',
        verifyClient: function (info, next) {
          if (info.req.headers['x-fastify-header'] !== 'fastify is awesome !') {
            return next(false)
          }
          next(true)
        }
      }
    })

    ${ECHO}`)
  const headers = { 'x-fastify-header': 'fastify is awesome !' }
  const client = await connect(t, `${origin}/fastify`, { headers })
  t.equal(await ask(client, 'hello'), 'hello')
  t.equal((await refused(t, `${origin}/fastify`)).statusCode, 401)
  t.equal((await refused(t, origin, { headers })).statusCode, 404)
  client.send(Buffer.alloc(1048577))
  t.equal((await client.closed).code, 1009)
})

test('Per route handler: connection.socket talks in text, other paths are a 404', async (t) => {
  const { http, origin, program } = await start(t, `
    const Fastify = require('fastify')
    const fastify = Fastify()

    fastify.register(require('fastify-websocket'))

    fastify.get('/', { websocket: true }, (connection, req) => {
      connection.socket.on('message', message => {
        if (message === 'hi from client') connection.socket.send('hi from server')
      })
    })`)
  t.equal(await ask(await connect(t, origin), 'hi from client'), 'hi from server')
  t.equal((await refused(t, `${origin}/unregistered`)).statusCode, 404)
  const plain = await fetch(http)
  t.equal(plain.status, 404)
  t.equal(await plain.text(), '')
  t.notMatch((await program.kill()).output, /warning/i)
})

test('Per route handler: the global handler is the default handler', async (t) => {
  const { origin } = await start(t, `
    const fastify = require('fastify')()

    ${ECHO}

    fastify.register(require('fastify-websocket'), {
      handle,
      options: { maxPayload: 1048576 }
    })

    fastify.get('/', { websocket: true }, (connection, req) => {
      connection.socket.on('message', message => {
        connection.socket.send('hi from server')
      })
    })`)
  t.equal(await ask(await connect(t, origin), 'hi from client'), 'hi from server')
  t.equal(await ask(await connect(t, `${origin}/elsewhere`), 'echo'), 'echo')
})

test('Per route handler: wsHandler beside handler in the full declaration', async (t) => {
  const { http, origin } = await start(t, `
    const fastify = require('fastify')()

    ${ECHO}

    fastify.register(require('fastify-websocket'), {
      handle,
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
          conn.end()
        })
      }
    })`)
  t.strictSame(await (await fetch(`${http}/hello`)).json(), { hello: 'world' })
  const client = await connect(t, `${origin}/hello`)
  t.equal(await client.nextText(), 'hello client')
  client.send('hello server')
  t.equal((await client.closed).code, 1000)
})

// --- Options ---

test('Options: all that are for connections, on the server of the instance', async (t) => {
  const { origin, program } = await start(t, `
    const fastify = require('fastify')()

    fastify.register(require('fastify-websocket'), {
      handle: (conn) => {
        conn.cork()
        for (const chunk of ['one', 'two']) conn.write(chunk)
        conn.uncork()
        conn.pipe(conn)
        console.log('bound to the instance:', require('util').isDeepStrictEqual(
          fastify.websocketServer.address(), fastify.server.address()))
        console.log('clients:', fastify.websocketServer.clients.size)
      },
      options: {
        objectMode: true,
        verifyClient: ({ req }) => req.headers['x-key'] === 'open',
        handleProtocols: (protocols) => protocols.has('chat') && 'chat',
        path: '/fastify',
        clientTracking: true,
        perMessageDeflate: { threshold: 0 },
        maxPayload: 100
      }
    })`)
  const headers = { 'x-key': 'open' }
  const client = await connect(t, `${origin}/fastify`, { headers }, ['other', 'chat'])
  t.equal(client.socket.protocol, 'chat')
  t.match(client.socket.extensions, 'permessage-deflate')
  t.equal(await client.nextText(), 'one')
  t.equal(await client.nextText(), 'two')
  t.equal(await ask(client, 'hello'), 'hello')
  t.equal((await refused(t, `${origin}/fastify`)).statusCode, 401)
  t.equal((await refused(t, `${origin}/other`, { headers })).statusCode, 404)
  client.send('a'.repeat(101))
  t.equal((await client.closed).code, 1009)
  const { output } = await program.kill()
  t.match(output, 'bound to the instance: true\nclients: 1\n')
  t.notMatch(output, /warning/i)
})

test('Options: clientTracking: false keeps no list of clients', async (t) => {
  const { origin } = await start(t, `
    const fastify = require('fastify')()
    fastify.register(require('fastify-websocket'), { options: { clientTracking: false } })
    fastify.get('/', { websocket: true }, ({ socket }) => {
      socket.send(String(fastify.websocketServer.clients))
    })`)
  t.equal(await (await connect(t, origin)).nextText(), 'undefined')
})

test('Options: host, port and backlog open a server for upgrades only', async (t) => {
  const { http, origin, program } = await start(t, `
    const fastify = require('fastify')()
    fastify.register(require('fastify-websocket'), {
      options: { host: '127.0.0.1', port: 0, backlog: 10 }
    })
    fastify.get('/', { websocket: true }, (conn) => { conn.pipe(conn) })
    fastify.addHook('onListen', async () => {
      console.log('own port:', fastify.websocketServer.address().port)
    })`)
  const [, port] = await program.until(/own port: (\d+)/)
  t.equal(await ask(await connect(t, `ws://127.0.0.1:${port}`), 'hello'), 'hello')
  t.equal((await fetch(`http://127.0.0.1:${port}`)).status, 426)
  t.equal((await fetch(http)).status, 404)
  t.equal((await refused(t, origin)).statusCode, 404)
})

test('Options: server takes the upgrades of a server that was created before', async (t) => {
  const { http, program } = await start(t, `
    const fastify = require('fastify')()
    const server = require('http').createServer((req, res) => { res.end('mine') })
    fastify.register(require('fastify-websocket'), { options: { server } })
    fastify.get('/', { websocket: true }, (conn) => { conn.pipe(conn) })
    server.listen(0, '127.0.0.1', () => { console.log('its port:', server.address().port) })`)
  const [, port] = await program.until(/its port: (\d+)/)
  t.equal(await ask(await connect(t, `ws://127.0.0.1:${port}`), 'hello'), 'hello')
  t.equal(await (await fetch(`http://127.0.0.1:${port}`)).text(), 'mine')
  t.equal((await fetch(http)).status, 404)
})

test('Options: noServer leaves the upgrades to the application', async (t) => {
  const { origin } = await start(t, `
    const fastify = require('fastify')()
    fastify.register(require('fastify-websocket'), { options: { noServer: true } })
    fastify.get('/', async () => 'plain')
    fastify.server.on('upgrade', (request, socket, head) => {
      fastify.websocketServer.handleUpgrade(request, socket, head, (ws) => {
        fastify.websocketServer.emit('connection', ws, request)
      })
    })
    fastify.ready(() => {
      fastify.websocketServer.on('stream', (stream) => { stream.pipe(stream) })
    })`)
  t.equal(await ask(await connect(t, `${origin}/any`), 'hello'), 'hello')
})

// --- Other ways to load it ---

test('imported later than a tick by an ES module, a warning says what to do', async (t) => {
  const output = await run(t, process.execPath, [
    '--import', 'tsx', '--input-type=module', '--eval', `
    import Fastify from 'fastify'
    const fastify = Fastify()
    fastify.get('/a', { websocket: true }, () => {})
    await new Promise(setImmediate)
    const { default: plugin } = await import(${SOURCE})
    await fastify.register(plugin)
    await fastify.close()`
  ])
  t.match(output, /\[FST_WS_LOADED_LATE\] Warning: .*Load it before the instance is created/)
})
