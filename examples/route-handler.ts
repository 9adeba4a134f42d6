// One route takes WebSockets and works by messages. Any other path is a 404.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket)

fastify.get<{ Params: { name: string } }>(
  '/hello/:name', { websocket: true }, ({ socket }, req, request) => {
    const { name } = request.params
    socket.send(`Hello ${name}, say something.`)
    socket.on('message', (message, isBinary) => {
      if (isBinary) socket.close(1003, 'text only')
      else socket.send(`${name} said: ${message}`)
    })
  })

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Greetings on ${address}/hello/you`) })
