// One process of the rooms. What a client says in a room reaches the clients of all processes.
// `start.ts` runs several of them.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'
import { connectBroker } from '../broker'

async function main (): Promise<void> {
  const connected = await connectBroker()
  const fastify = Fastify({ logger: { level: 'warn' } })

  fastify.register(fastifyWebsocket, {
    maxBackpressure: 1024 * 1024, ...(connected && { broker: connected.broker })
  })

  fastify.get<{ Params: { room: string } }>(
    '/rooms/:room', { websocket: true }, async ({ socket }, req, { params: { room } }) => {
      socket.on('message', (message) => { socket.publish(`room ${room}`, message) })
      await socket.subscribe(`room ${room}`)
      socket.send(`You are in ${room}, at process ${process.pid}`)
    })

  fastify.addHook('onClose', () => connected?.close())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => fastify.close())

  const port = Number(process.env.PORT ?? 3000)
  console.log(`Rooms on ${await fastify.listen({ port, host: '127.0.0.1' })}`)
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
