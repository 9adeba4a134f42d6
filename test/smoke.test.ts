import { test } from 'tap'
import Fastify from 'fastify'
import fastifyWebsocket = require('../src/index')

test('smoke', async (t) => {
  const fastify = Fastify()
  fastify.register(fastifyWebsocket)
  fastify.get('/', { websocket: true }, (connection, req) => {
    connection.socket.on('message', (message) => { connection.socket.send(message) })
  })
  t.teardown(() => fastify.close())
  await fastify.listen({ port: 0 })
  t.ok(fastify.websocketServer)
})
