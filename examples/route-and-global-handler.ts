// A route of its own for the time, and an echo on every other path.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket, {
  handle: (connection) => { connection.pipe(connection) }
})

fastify.get('/time', { websocket: true }, ({ socket }) => {
  const sendTime = (): void => { socket.send(new Date().toISOString()) }
  const timer = setInterval(sendTime, 1000)
  socket.on('close', () => { clearInterval(timer) })
  sendTime()
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Time on ${address}/time, echo elsewhere`) })
