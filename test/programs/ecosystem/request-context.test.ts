import { fastifyRequestContext, requestContext } from '@fastify/request-context'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import type fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { serve } from '../../helpers/plugin'
import { until } from '../../helpers/streams'

declare module '@fastify/request-context' {
  interface RequestContextData {
    user: string
  }
}

function currentUser (): string {
  return String(requestContext.get('user'))
}

const HANDLERS: Record<string, fastifyWebsocket.WebsocketHandler> = {
  'the handler itself': ({ socket }) => { socket.send(currentUser()) },
  'an async handler, after an await': async ({ socket }) => {
    await nextTurn()
    socket.send(currentUser())
  },
  'a message listener': ({ socket }) => {
    socket.on('message', () => { socket.send(currentUser()) })
  },
  'a message listener that is async': ({ socket }) => {
    socket.on('message', async () => {
      await nextTurn()
      socket.send(currentUser())
    })
  },
  'a message listener that came late': async ({ socket }) => {
    await nextTurn()
    socket.addEventListener('message', () => { socket.send(currentUser()) })
  },
  'a data listener': (connection) => {
    connection.on('data', () => { connection.socket.send(currentUser()) })
  },
  'a for await loop': async (connection) => {
    for await (const chunk of connection) if (chunk) connection.socket.send(currentUser())
  },
  'a pong listener': ({ socket }) => {
    socket.on('pong', () => { socket.send(currentUser()) })
    socket.ping()
  }
}

for (const [where, handler] of Object.entries(HANDLERS)) {
  test(`the context of the request is there in ${where}, in routes and in handle`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: handler },
      declare: (fastify) => {
        fastify.register(fastifyRequestContext)
        fastify.addHook('onRequest', async (request) => {
          request.requestContext.set('user', String(Object(request.query).user))
        })
        fastify.get('/route', { websocket: true }, handler)
        fastify.route({
          method: 'GET', url: '/both', handler: async () => currentUser(), wsHandler: handler
        })
      }
    })
    for (const path of ['/route', '/both', '/any']) {
      const ada = await connect(t, `${origin}${path}?user=ada`)
      const bob = await connect(t, `${origin}${path}?user=bob`)
      for (const client of [ada, bob, ada]) client.send('who?')
      t.equal(await ada.nextText(), 'ada', path)
      t.equal(await bob.nextText(), 'bob', path)
    }
    const plain = await fetch(`${origin.replace('ws', 'http')}/both?user=eve`)
    t.equal(await plain.text(), 'eve')
  })
}

test('the context of the request is there in close listeners', async (t) => {
  const users: string[] = []
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: (connection) => {
        for (const emitter of [connection.socket, connection]) {
          emitter.on('close', () => { users.push(currentUser()) })
        }
      }
    },
    declare: (fastify) => {
      fastify.register(fastifyRequestContext, { defaultStoreValues: { user: 'ada' } })
    }
  })
  const client = await connect(t, origin)
  client.close()
  await until(() => users.length === 2)
  t.strictSame(users, ['ada', 'ada'])
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('the context that a later hook makes is there, too', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(fastifyRequestContext, {
        hook: 'preHandler', defaultStoreValues: ({ url }) => ({ user: url })
      })
      fastify.get('/echo', { websocket: true }, ({ socket }) => {
        socket.on('message', () => { socket.send(currentUser()) })
      })
    }
  })
  const client = await connect(t, `${origin}/echo`)
  client.send('who?')
  t.equal(await client.nextText(), '/echo')
})
