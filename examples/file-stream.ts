// A file, this one, is piped to each client as fast as it reads. Then the connection closes.
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket)

fastify.get('/file', { websocket: true }, (connection) => {
  return pipeline(createReadStream(__filename), connection)
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`File on ${address}/file`) })
