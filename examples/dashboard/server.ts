// An application, and a dashboard that shows what happens in it.
//
//   node --import tsx examples/dashboard/server.ts
//   node --import tsx examples/dashboard/load.ts      something to see
//
// The dashboard has a port and a token of its own. Without DASHBOARD_TOKEN it makes a token, and
// prints it once, in the URL: behind the `#`, which a browser never sends.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'
import { createDashboard } from './dashboard'
import { chooseToken } from './token'

/** Milliseconds. */
const CLOCK_INTERVAL = 200

const {
  HOST = '127.0.0.1', PORT = '3000', DASHBOARD_PORT = '3001', DASHBOARD_TOKEN
} = process.env

const application = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })

application.register(fastifyWebsocket)

application.get('/echo', { websocket: true }, ({ socket }) => {
  socket.on('message', (message) => { socket.send(message) })
})

application.get('/clock', { websocket: true }, ({ socket }) => { socket.subscribe('clock') })

let clock: NodeJS.Timeout | undefined
application.addHook('onListen', async () => {
  clock = setInterval(() => {
    application.websocketServer.publish('clock', new Date().toISOString())
  }, CLOCK_INTERVAL)
})
application.addHook('onClose', async () => { clearInterval(clock) })

application.get('/private', {
  websocket: true,
  onRequest: async (request, reply) => reply.code(401).send('Who are you?')
}, () => {})

async function start (): Promise<void> {
  const { token, isNew } = chooseToken(DASHBOARD_TOKEN)
  const dashboard = createDashboard(() => application.websocketServer.stats(), token)
  const close = (): Promise<unknown> => Promise.all([application.close(), dashboard.close()])
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, close)
  try {
    const address = await application.listen({ port: Number(PORT), host: HOST })
    const page = await dashboard.listen({ port: Number(DASHBOARD_PORT), host: '127.0.0.1' })
    console.log(`Application on ${address}`)
    console.log(`Dashboard on ${page}/${isNew ? `#${token}` : ''}`)
  } catch (error) {
    await close()
    throw error
  }
}

start().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
