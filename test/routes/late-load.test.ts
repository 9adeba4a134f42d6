// Each section of the README of fastify-websocket 0.5.0 in its own idiom: Fastify is loaded and the
// instance made first, then `register(require('fastify-websocket'))`, the routes on the next lines.
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

/** What a route answers to a client that connects. */
const SAY = `
  const say = (text) => function (connection, req, request) {
    connection.socket.send([text, req.url, request.user, this.prefix].join(' ').trim())
  }`

/** What is declared on the lines after `register`, and what `/a` and `/b` then say. */
const DECLARED: Record<string, [declared: string, answers: Record<string, string>]> = {
  'two routes': [`
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.get('/b', { websocket: true }, say('b'))`,
  { '/a': 'a /a', '/b': 'b /b', '/a/': 'a /a' }],
  'an HTTP route first': [`
    fastify.get('/plain', async () => 'plain')
    fastify.get('/a', { websocket: true }, say('a'))`,
  { '/a': 'a /a' }],
  'a route for POST first': [`
    fastify.post('/a', async () => 'plain')
    fastify.get('/a', { websocket: true }, say('a'))`,
  { '/a': 'a /a' }],
  'a route for GET and HEAD second': [`
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.route({ method: ['GET', 'HEAD'], url: '/b', websocket: true, handler: say('b') })`,
  { '/a': 'a /a', '/b': 'b /b' }],
  'parameters, an optional one too': [`
    fastify.get('/a/:id/:more?', { websocket: true }, say('a'))`,
  { '/a/1': 'a /a/1', '/a/1/2': 'a /a/1/2' }],
  'hooks before and after': [`
    fastify.decorateRequest('user', '')
    fastify.addHook('onRequest', async (request) => { request.user += 'before' })
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.addHook('onRequest', async (request) => { request.user += '-after' })
    fastify.get('/b', { websocket: true }, say('b'))`,
  { '/a': 'a /a before-after', '/b': 'b /b before-after' }],
  'hooks of the route': [`
    fastify.decorateRequest('user', '')
    const onRequest = async (request) => { request.user += 'own' }
    fastify.get('/a', { websocket: true, onRequest }, say('a'))`,
  { '/a': 'a /a own' }],
  'options of the route': [`
    fastify.get('/a', { websocket: { heartbeat: 60000 } }, say('a'))`,
  { '/a': 'a /a' }],
  'a scope with a prefix': [`
    fastify.register(async (scope) => {
      scope.get('/', { websocket: true }, say('a'))
      scope.get('/b', { websocket: true }, say('b'))
    }, { prefix: '/a' })`,
  { '/a': 'a /a  /a', '/a/': 'a /a  /a', '/a/b': 'b /a/b  /a' }]
}

for (const [what, [declared, answers]] of Object.entries(DECLARED)) {
  test(`declared on the next lines: ${what}`, async (t) => {
    const { origin, program } = await start(t, `
      const fastify = require('fastify')()
      fastify.register(require('fastify-websocket'))
      ${SAY}
      ${declared}`)
    for (const [path, answer] of Object.entries(answers)) {
      t.equal(await (await connect(t, origin + path)).nextText(), answer, path)
    }
    t.notMatch((await program.kill()).output, /warning/i)
  })
}

test('loaded in a scope with a prefix, its first route has both paths', async (t) => {
  const { http, origin, program } = await start(t, `
    const fastify = require('fastify')()
    ${SAY}
    fastify.register(async (scope) => {
      scope.register(require('fastify-websocket'))
      scope.get('/', { websocket: true }, say('first'))
      scope.get('/a', { websocket: true }, say('a'))
    }, { prefix: '/scope' })`)
  const answers = {
    '/scope': 'first /scope  /scope',
    '/scope/': 'first /scope  /scope',
    '/scope/a': 'a /scope/a  /scope'
  }
  for (const [path, answer] of Object.entries(answers)) {
    t.equal(await (await connect(t, `${origin}${path}`)).nextText(), answer, path)
    for (const method of ['GET', 'HEAD']) {
      t.equal((await fetch(`${http}${path}`, { method })).status, 404, `${method} ${path}`)
    }
  }
  t.notMatch((await program.kill()).output, /warning/i)
})

test('an upgrade of an HTTP route that came first is a 404, or goes to handle', async (t) => {
  for (const [options, expected] of [['{}', 404], ['{ handle }', 'handled']]) {
    const { http, origin } = await start(t, `
      const fastify = require('fastify')()
      const handle = (conn) => { conn.socket.send('handled') }
      fastify.register(require('fastify-websocket'), ${options})
      fastify.get('/plain', async () => 'plain')`)
    t.equal(await (await fetch(`${http}/plain`)).text(), 'plain')
    const answer = expected === 404
      ? (await refused(t, `${origin}/plain`)).statusCode
      : await (await connect(t, `${origin}/plain`)).nextText()
    t.equal(answer, expected)
  }
})

test('of several instances, one without the plugin stays as it was', async (t) => {
  const { http, origin, program } = await start(t, `
    const Fastify = require('fastify')
    const [fastify, other, without] = [Fastify(), Fastify(), Fastify()]
    ${SAY}
    for (const instance of [fastify, other]) instance.register(require('fastify-websocket'))
    without.get('/', (request, reply) => { reply.send(String(request.raw !== undefined)) })
    without.get('/a', { websocket: true }, (...args) => { args[1].send(String(args.length)) })
    other.get('/a', { websocket: true }, say('other'))
    fastify.get('/a', { websocket: true }, say('fastify'))
    fastify.get('/b', async () => {
      const plain = [(await without.inject('/')).body, (await without.inject('/a')).body]
      await other.ready()
      const socket = await other.injectWS('/a')
      const [message] = await require('events').once(socket, 'message')
      socket.terminate()
      return [...plain, String(message)]
    })`)
  t.equal(await (await connect(t, `${origin}/a`)).nextText(), 'fastify /a')
  t.strictSame(await (await fetch(`${http}/b`)).json(), ['true', '2', 'other /a'])
  t.match((await program.kill()).output, /FST_WS_NOT_REGISTERED/)
})

test('a wrong first route fails ready() with its error', async (t) => {
  const output = await run(t, process.execPath, argumentsOf(`
    const fastify = require('fastify')()
    fastify.register(require('fastify-websocket'))
    fastify.get('/a', { websocket: 1 }, () => {})
    fastify.ready((err) => { console.log(err.code) })`))
  t.match(output, /FST_WS_INVALID_OPTION/)
})

/** Ways to declare a first route that has no HEAD route of its own right behind it. */
const UNKNOWN: Record<string, [options: string, declared: string]> = {
  'with exposeHeadRoutes: false': [
    '{ exposeHeadRoutes: false }', "fastify.get('/a', { websocket: true }, say('a'))"
  ],
  'with exposeHeadRoute: false, and a HEAD route': ['{}', `
    fastify.get('/a', { websocket: true, exposeHeadRoute: false }, say('a'))
    fastify.head('/a', async () => '')`],
  'for GET and HEAD': ['{}', `
    fastify.route({ method: ['GET', 'HEAD'], url: '/a', websocket: true, handler: say('a') })`]
}

for (const [how, [options, declared]] of Object.entries(UNKNOWN)) {
  test(`a first route ${how} stays unknown: a warning, and its upgrade is refused`, async (t) => {
    const { origin, program } = await start(t, `
      const fastify = require('fastify')(${options})
      fastify.register(require('fastify-websocket'), { handle: () => {} })
      ${SAY}
      ${declared}
      fastify.get('/b', { websocket: true }, say('b'))`)
    t.match(await refused(t, `${origin}/a`), {
      statusCode: 500, body: /"code":"FST_WS_UNKNOWN_ROUTE".*before the Fastify instance is created/
    })
    t.equal(await (await connect(t, `${origin}/b`)).nextText(), 'b /b')
    t.equal((await connect(t, `${origin}/handled`)).socket.readyState, 1)
    t.match((await program.kill()).output, /\[FST_WS_LOADED_LATE\] Warning: .*Load it before/)
  })
}

test('routes declared before it was loaded stay unknown, wherever they are', async (t) => {
  const { http, origin, program } = await start(t, `
    const fastify = require('fastify')()
    ${SAY}
    fastify.get('/before', { websocket: true }, say('before'))
    fastify.register(async (scope) => {
      scope.get('/inside', { websocket: true }, say('inside'))
      scope.get('/plain', async () => 'plain')
    })
    fastify.register(require('fastify-websocket'))
    fastify.get('/a', { websocket: true }, say('a'))`)
  t.equal((await refused(t, `${origin}/before`)).statusCode, 500)
  t.equal(await (await connect(t, `${origin}/inside`)).nextText(), 'inside /inside')
  t.equal(await (await fetch(`${http}/plain`)).text(), 'plain')
  t.equal(await (await connect(t, `${origin}/a`)).nextText(), 'a /a')
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.match((await program.kill()).output, /FST_WS_LOADED_LATE/)
})

test('the router is as it was on the next tick, however often it was loaded', async (t) => {
  const output = await run(t, process.execPath, argumentsOf(`
    require('fastify')
    const { prototype } = require('find-my-way')
    const before = Object.getOwnPropertyDescriptor(prototype, 'on')
    for (let i = 0; i < 3; i++) {
      require('fastify-websocket')
      for (const file of Object.keys(require.cache)) {
        if (file.startsWith(${JSON.stringify(join(ROOT, 'src'))})) delete require.cache[file]
      }
    }
    console.log(prototype.on === before.value)
    process.nextTick(() => {
      const after = Object.getOwnPropertyDescriptor(prototype, 'on')
      console.log(require('util').isDeepStrictEqual(after, before), after.value === before.value)
    })`))
  t.equal(output, 'false\ntrue true\n')
})

test('a library that wraps the router in the same tick keeps its wrapper', async (t) => {
  const output = await run(t, process.execPath, argumentsOf(`
    const fastify = require('fastify')()
    const { prototype } = require('find-my-way')
    require('fastify-websocket')
    const { on } = prototype
    const wrapper = function (...args) {
      if (args.length === 5) console.log(args[1])
      return on.apply(this, args)
    }
    prototype.on = wrapper
    setImmediate(() => {
      console.log(prototype.on === wrapper)
      fastify.post('/a', async () => 'a')
    })`))
  t.equal(output, 'true\n/a\n')
})

test('without Fastify in reach it loads all the same', async (t) => {
  const output = await run(t, process.execPath, argumentsOf(`
    const Module = require('module')
    const { _resolveFilename } = Module
    Module._resolveFilename = function (name, ...rest) {
      if (name === 'fastify') throw new Error('out of reach')
      return _resolveFilename.call(this, name, ...rest)
    }
    console.log(typeof require('fastify-websocket'))`))
  t.equal(output, 'function\n')
})

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
