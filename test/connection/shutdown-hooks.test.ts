// fastify.close() and the preClose hooks of the application, some of which fail.
import { once } from 'node:events'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

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
