import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { WebSocketServer, type WebSocket } from 'ws'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

/** What a server of ws does with a connection: it answers, so that a test knows the server. */
function onConnection (socket: WebSocket): void {
  socket.send('of ws')
}

/** Gives a server of ws the upgrades to `/other`, as the page on plugins says. */
function share (fastify: FastifyInstance): void {
  const other = new WebSocketServer({ noServer: true })
  other.on('connection', onConnection)
  fastify.server.on('upgrade', (request, socket, head) => {
    if (request.url !== '/other') return
    other.handleUpgrade(request, socket, head, (client) => {
      other.emit('connection', client, request)
    })
  })
  fastify.addHook('preClose', async () => {
    for (const client of other.clients) client.close(1001)
  })
}

interface Served {
  plugin?: fastifyWebsocket.WebsocketPluginOptions
  /** Whether the server of ws is there before our plugin is registered. */
  isFirst?: boolean
}

async function serveBoth (
  t: Test, attach: (fastify: FastifyInstance) => void, { plugin = {}, isFirst = false }: Served
) {
  const uncaught = watchProcess(t)
  const fastify = createFastify(t)
  if (isFirst) attach(fastify)
  fastify.register(fastifyWebsocket, plugin)
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/slow', { websocket: true, onRequest: () => wait(20) }, echo)
  if (!isFirst) attach(fastify)
  return { fastify, origin: await listen(fastify), uncaught }
}

const BESIDE: Record<string, Served> = {
  'there first': { isFirst: true },
  'there last': {},
  'beside a handle for all paths': { plugin: { handle: echo } }
}

for (const [how, served] of Object.entries(BESIDE)) {
  test(`${how}, a WebSocketServer with noServer takes what is its own`, async (t) => {
    const { fastify, origin, uncaught } = await serveBoth(t, share, served)
    const other = await connect(t, `${origin}/other`)
    t.equal(await other.nextText(), 'of ws')
    for (const path of ['/echo', '/slow']) {
      const client = await connect(t, origin + path)
      client.send('hello')
      t.equal(await client.nextText(), 'hello', path)
    }
    await fastify.close()
    t.match(await other.closed, { code: 1001 })
    t.strictSame(uncaught, [])
  })

  test(`${how}, a WebSocketServer with server and path refuses ours`, async (t) => {
    const { fastify, origin, uncaught } = await serveBoth(t, ({ server }) => {
      const other = new WebSocketServer({ server, path: '/other' })
      t.teardown(() => { for (const client of other.clients) client.terminate() })
      other.on('connection', onConnection)
    }, served)
    const other = await connect(t, `${origin}/other`)
    t.equal(await other.nextText(), 'of ws')
    t.equal((await refused(t, `${origin}/echo`)).statusCode, 400)
    other.close()
    await other.closed
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}
