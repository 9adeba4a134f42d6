import { join } from 'node:path'
import type { FastifyInstance, FastifyReply } from 'fastify'
import t, { test } from 'tap'
import { kReplyWatcher } from '../../src/handshake/symbols'
import { applicationOf, rootOf, watchNewInstances } from '../../src/routes/registry'
import { ROOT, run } from '../helpers/program'
import { createFastify } from '../helpers/servers'

t.setTimeout(120_000)

watchNewInstances()

const SOURCES = join(ROOT, 'src')

/** A program that has loaded the plugin `copies` times, each time anew, before it does the rest. */
function reload (copies: number, rest: string): string[] {
  const program = `
    const { join } = require('node:path')
    const sources = ${JSON.stringify(SOURCES)}
    function load () {
      for (const file of Object.keys(require.cache)) {
        if (file.startsWith(sources)) delete require.cache[file]
      }
      return require(join(sources, 'index.ts'))
    }
    const copies = Array.from({ length: ${copies} }, load)
    ${rest}`
  return ['--import', 'tsx', '--input-type=commonjs', '--expose-gc', '--eval', program]
}

for (const copies of [1, 20]) {
  test(`an instance has one set of hooks when the module was loaded ${copies} times`, async (t) => {
    const output = await run(t, process.execPath, reload(copies, `
      const fastify = require('fastify')({ exposeHeadRoutes: false })
      fastify.get('/plain', (request, reply) => { reply.send('plain') })
      fastify.ready().then(() => {
        console.log(new Set(copies).size)
        console.log(fastify.printRoutes({ includeHooks: true }))
      })`))
    t.equal(output.split('\n')[0], String(copies))
    t.strictSame(output.match(/\(onRequest\).*/g), ['(onRequest) ["tellOfReply()","anonymous()"]'])
  })
}

test('a copy that nothing uses any more is collected', async (t) => {
  const output = await run(t, process.execPath, reload(2, `
    // Node.js keeps the first one as the parent of what it has loaded.
    const second = new WeakRef(copies[1])
    copies.length = 0
    const { children } = module
    setImmediate(() => {
      load()
      children.length = 0
      setImmediate(() => {
        gc()
        console.log(second.deref() === undefined)
      })
    })`))
  t.equal(output, 'true\n')
})

test('two copies in one application take the upgrades of their own scopes', async (t) => {
  const output = await run(t, process.execPath, reload(2, `
    const { WebSocket } = require('ws')
    const { once } = require('node:events')
    const fastify = require('fastify')()
    copies.forEach((copy, i) => {
      fastify.register(async (scope) => {
        await scope.register(copy)
        scope.get('/', { websocket: true }, ({ socket }) => { socket.send('copy ' + i) })
      }, { prefix: '/' + i })
    })
    async function ask () {
      const origin = await fastify.listen({ port: 0, host: '127.0.0.1' })
      for (const i of [0, 1]) {
        const client = new WebSocket(origin.replace('http', 'ws') + '/' + i)
        const [message] = await once(client, 'message')
        const { status } = await fetch(origin + '/' + i)
        console.log(String(message), status)
        client.terminate()
      }
      await fastify.close()
    }
    ask()`))
  t.equal(output, 'copy 0 404\ncopy 1 404\n')
})

test('an instance that an older copy has recorded takes a newer copy', async (t) => {
  const output = await run(t, process.execPath, reload(1, `
    const fastify = require('fastify')()
    fastify.get('/', { websocket: true }, ({ socket }) => { socket.send('hello') })
    fastify.register(load())
    fastify.ready().then(() => fastify.injectWS('/')).then((socket) => {
      socket.on('message', (message) => {
        console.log(String(message))
        socket.terminate()
      })
    })`))
  t.equal(output, 'hello\n')
})

test('a recorder of another realm, as each test file of jest has, is asked no more', async (t) => {
  const output = await run(t, process.execPath, reload(0, `
    const { channel, subscribe } = require('node:diagnostics_channel')
    const initialization = channel('fastify.initialization')
    require('node:vm').runInNewContext(\`
      const onInstance = () => { throw new Error('the realm is gone') }
      subscribe('fastify.initialization', onInstance)
      initialization[Symbol.for('fastify-websocket.recorder.3')] = {
        applications: new WeakMap(), onInstance
      }
    \`, { initialization, subscribe })
    process.on('uncaughtException', (error) => { console.log(error.message) })
    const Fastify = require('fastify')
    Fastify()
    setImmediate(() => {
      load()
      Fastify()
    })`), { mayCrash: true })
  t.equal(output, 'the realm is gone\n', 'once, before the module was loaded')
})

test('the first hooks of an instance tell of the reply and of an error', async (t) => {
  const seen: string[] = []
  const fastify = createFastify(t)
  fastify.addHook('onRequest', async () => { seen.push('hook') })
  fastify.addHook('onError', async () => { seen.push('error hook') })
  fastify.register(async (scope) => {
    scope.get('/', async () => { throw new Error('seen') })
  })
  fastify.server.prependListener('request', (request) => {
    Object.assign(request, {
      [kReplyWatcher]: {
        onReply: (reply: FastifyReply) => { seen.push(`reply to ${reply.request.url}`) },
        onError: () => { seen.push('error') }
      }
    })
  })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  await fetch(fastify.listeningOrigin)
  t.strictSame(seen, ['reply to /', 'hook', 'error', 'error hook'])
})

test('the newest instance is the one whose hooks Fastify runs last', async (t) => {
  const fastify = createFastify(t)
  t.equal(applicationOf(fastify).last, fastify)
  const order: string[] = []
  const instances = new Map<string, FastifyInstance>()
  const declare = (name: string, inner?: (scope: FastifyInstance) => void) => {
    return async (scope: FastifyInstance) => {
      inner?.(scope)
      instances.set(name, scope)
      scope.addHook('preClose', async () => { order.push(name) })
    }
  }
  fastify.register(declare('first', (scope) => {
    scope.register(declare('inner'))
    // Fastify makes it below the scope that is loading.
    fastify.register(declare('outer'))
  }))
  fastify.register(declare('second', (scope) => { scope.register(declare('innermost')) }))
  await fastify.ready()
  const { last } = applicationOf(fastify)
  t.equal(rootOf(last), fastify)
  await fastify.close()
  t.strictSame(order, ['first', 'inner', 'outer', 'second', 'innermost'])
  t.equal(last, instances.get('innermost'))
})

for (const which of ['first', 'second']) {
  test(`two copies of the module do not disturb each other, the ${which} registered`, async (t) => {
    const output = await run(t, process.execPath, reload(2, `
      const { WebSocket } = require('ws')
      const [first, second] = copies
      console.log(first === second)
      const fastify = require('fastify')()
      fastify.register(${which})
      fastify.get('/plain', async () => 'plain')
      fastify.get('/echo', { websocket: true }, (connection, req, request) => {
        console.log(typeof connection.socket.send, req.url, request.url)
      })
      fastify.inject('/plain').then((response) => { console.log(response.body) })
      fastify.listen({ port: 0, host: '127.0.0.1' }).then((origin) => {
        const socket = new WebSocket(origin.replace('http', 'ws') + '/echo')
        socket.on('open', () => {
          console.log('open')
          socket.terminate()
          fastify.close()
        })
      })`))
    t.strictSame(output.split('\n').sort(), [
      '', 'false', 'function /echo /echo', 'open', 'plain'
    ])
  })
}

test('for an instance without GET routes Fastify prints "(empty tree)"', async (t) => {
  const fastify = createFastify(t)
  t.equal(fastify.printRoutes({ method: 'GET' }), '(empty tree)')
  fastify.post('/', async () => 'plain')
  t.equal(fastify.printRoutes({ method: 'GET' }), '(empty tree)')
  fastify.get('/', async () => 'plain')
  t.not(fastify.printRoutes({ method: 'GET' }), '(empty tree)')
})
