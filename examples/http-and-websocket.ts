// One URL: `handler` answers plain requests, `wsHandler` takes WebSockets.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })
let visits = 0

fastify.register(fastifyWebsocket)

fastify.route({
  method: 'GET',
  url: '/visits',
  handler: async () => ({ visits }),
  wsHandler: (connection) => {
    visits++
    connection.setEncoding('utf8')
    connection.write(`You are visitor ${visits}. Your name?`)
    connection.once('data', (name) => { connection.end(`Goodbye, ${name}.`) })
  }
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Both on ${address}/visits`) })
