import { setTimeout as wait } from 'node:timers/promises'
import { Server, type ServerOptions } from 'socket.io'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'
import { sayHello } from '../clients'

/** Milliseconds of a hook, and of the patience of Socket.IO with upgrades that it does not know. */
const SLOW_HOOK = 20
const PATIENCE = 1

interface Served {
  options?: Partial<ServerOptions>
  plugin?: fastifyWebsocket.WebsocketPluginOptions
  /** Whether Socket.IO is attached before our plugin is registered. */
  isFirst?: boolean
}

/** Serves Socket.IO, which answers `hello`, and the WebSocket routes `/echo` and `/slow`. */
async function serveBoth (t: Test, { options = {}, plugin = {}, isFirst = false }: Served = {}) {
  const uncaught = watchProcess(t)
  const fastify = createFastify(t)
  const attach = () => {
    const server = new Server(fastify.server, { destroyUpgradeTimeout: PATIENCE, ...options })
    server.on('connection', (socket) => {
      socket.on('hello', (name, answer) => { answer(`hello, ${name}`) })
    })
    fastify.addHook('preClose', async () => { server.disconnectSockets(true) })
  }
  if (isFirst) attach()
  fastify.register(fastifyWebsocket, plugin)
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/slow', { websocket: true, onRequest: () => wait(SLOW_HOOK) }, echo)
  if (!isFirst) attach()
  return { fastify, origin: await listen(fastify), uncaught }
}

/** The ways of its client to connect. */
const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']]

const BESIDE: Record<string, Served> = {
  'attached first': { isFirst: true },
  'attached last': {},
  'beside a handle for all paths': { plugin: { handle: echo } }
}

for (const [how, served] of Object.entries(BESIDE)) {
  test(`${how}, with destroyUpgrade: false, both take what is theirs`, async (t) => {
    const options = { destroyUpgrade: false }
    const { fastify, origin, uncaught } = await serveBoth(t, { ...served, options })
    for (const transports of TRANSPORTS) {
      t.equal(await sayHello(t, origin, transports), 'hello, Ada', String(transports))
    }
    for (const path of ['/echo', '/slow']) {
      const client = await connect(t, origin + path)
      client.send('hello')
      t.equal(await client.nextText(), 'hello', path)
    }
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}

test('without destroyUpgrade: false, it cuts off an upgrade whose hooks take long', async (t) => {
  const { origin } = await serveBoth(t)
  await connect(t, `${origin}/echo`)
  await t.rejects(connect(t, `${origin}/slow`), { code: 'ECONNRESET' })
})
