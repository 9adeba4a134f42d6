// One of several processes behind a broker: a client subscribes, and each process publishes when it
// is told to. Started with the kind of the client library, its port, and an id.
import Fastify from 'fastify'
import fastifyWebsocket from '../../src/index'
import { connectBroker, KINDS } from './brokers'

const [wanted, port, id = ''] = process.argv.slice(2)

/** Milliseconds between two messages of a process. */
const PAUSE = 10

/** Tells the test, which reads lines. */
function tell (line: string): void {
  process.stdout.write(`${id}: ${line}\n`)
}

async function main (): Promise<void> {
  const kind = KINDS.find((each) => each === wanted) ?? 'ioredis 6'
  const { broker, end } = await connectBroker(kind, Number(port))
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { broker })
  fastify.websocketServer.on('gap', () => { tell('gap') })
  fastify.get('/', { websocket: true }, async ({ socket }) => {
    // Each connection has topics of its own beside the one of all.
    await Promise.all([socket.subscribe('all'), socket.subscribe(`own ${id}`)])
    socket.send('subscribed')
  })
  interface Part { Params: { from: string, to: string } }
  fastify.get<Part>('/publish/:from/:to', async ({ params: { from, to } }) => {
    let failed = 0
    for (let i = Number(from); i < Number(to); i++) {
      fastify.websocketServer.publish('all', `${id} ${i}`).catch(() => { failed++ })
      await new Promise((resolve) => { setTimeout(resolve, PAUSE) })
    }
    return { failed }
  })
  fastify.get('/end', async () => {
    await fastify.websocketServer.publish('all', `end ${id}`)
    return {}
  })
  process.once('SIGTERM', async () => {
    await fastify.close()
    await end()
  })
  tell(await fastify.listen({ port: 0, host: '127.0.0.1' }))
}

main()
