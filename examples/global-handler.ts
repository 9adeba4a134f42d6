// Every upgrade, whatever its path, gets the same handler: an echo.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket, {
  handle: (connection) => { connection.pipe(connection) }
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Echo on ${address}`) })
