// The AsyncLocalStorage context of the upgrade request in the listeners of its connection.
import { AsyncLocalStorage } from 'node:async_hooks'
import { fastifyRequestContext, requestContext } from '@fastify/request-context'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'

declare module '@fastify/request-context' {
  interface RequestContextData {
    user: string
  }
}

test('the async context of the request is there in message and data listeners', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(fastifyRequestContext)
      fastify.addHook('onRequest', async (request) => {
        request.requestContext.set('user', String(Object(request.query).user))
      })
      fastify.get('/socket', { websocket: true }, ({ socket }) => {
        socket.on('message', () => { socket.send(String(requestContext.get('user'))) })
      })
      fastify.get('/stream', { websocket: true }, (connection) => {
        connection.on('data', () => { connection.write(String(requestContext.get('user'))) })
      })
    }
  })
  for (const path of ['/socket', '/stream']) {
    const ada = await connect(t, `${origin}${path}?user=ada`)
    const bob = await connect(t, `${origin}${path}?user=bob`)
    ada.send('who?')
    bob.send('who?')
    t.equal(await ada.nextText(), 'ada', path)
    t.equal(await bob.nextText(), 'bob', path)
  }
})

test('the listeners of a connection run in the context of its handler', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.addHook('onRequest', (request, _reply, done) => { storage.run(request.url, done) })
      fastify.get('/*', { websocket: true }, ({ socket }) => {
        for (const event of ['message', 'ping']) {
          socket.on(event, () => { socket.send(String(storage.getStore())) })
        }
      })
    }
  })
  const client = await connect(t, `${origin}/one`)
  client.send('message')
  t.equal(await client.nextText(), '/one')
  client.socket.ping()
  t.equal(await client.nextText(), '/one')
})
