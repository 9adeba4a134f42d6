// fastify.close() does not need the list of clients that ws keeps: the option `clientTracking`.
import { once } from 'node:events'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, portOf } from '../helpers/servers'

const CLOSE_1001 = Buffer.from([0x88, 0x02, 0x03, 0xe9])

for (const clientTracking of [true, false]) {
  const given = `with clientTracking: ${clientTracking}`

  test(`without listeners a connection frees its place, and close() ends, ${given}`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: {
        handle: (connection) => {
          connection.socket.removeAllListeners()
          connection.removeAllListeners()
        },
        maxConnections: 1,
        options: { clientTracking }
      }
    })
    const first = await connect(t, origin)
    first.close()
    await first.closed
    const second = await connect(t, origin)
    const closed = once(fastify.websocketServer, 'close')
    await fastify.close()
    t.equal((await second.closed).code, 1001)
    await closed
  })

  test(`listeners that are removed during close() do not hold it up, ${given}`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: {
        handle: ({ socket }) => { socket.on('message', () => { socket.removeAllListeners() }) },
        options: { clientTracking }
      }
    })
    const client = await connect(t, origin)
    client.socket.on('close', () => {})
    client.send('while it closes')
    await fastify.close()
    t.equal((await client.closed).code, 1001)
  })

  test(`a client of handleUpgrade is told as well, ${given}`, async (t) => {
    const { origin, fastify } = await serveUpgrades(t, { clientTracking })
    await fastify.ready()
    const client = await connect(t, origin)
    t.equal(await client.nextText(), 'in')
    const closed = once(fastify.websocketServer, 'close')
    await fastify.close()
    t.equal((await client.closed).code, 1001)
    await closed
  })

  test(`handleUpgrade in a preClose hook is a 503, ${given}`, async (t) => {
    const { origin, fastify } = await serveUpgrades(t, { clientTracking })
    const answers: Array<number | undefined> = []
    fastify.addHook('preClose', async () => {
      answers.push((await refused(t, origin)).statusCode)
    })
    await fastify.ready()
    await fastify.close()
    t.strictSame(answers, [503])
  })

  test(`handleUpgrade while clients are leaving is a 503, ${given}`, async (t) => {
    const { server, origin, fastify } = await serveUpgrades(t, { clientTracking })
    await fastify.ready()
    const leaving = new RawClient(t, portOf(server))
    leaving.write(upgradeHead('/'))
    await leaving.until('\r\n\r\n')
    const closed = fastify.close()
    await leaving.until(CLOSE_1001.toString('latin1'))
    t.equal((await refused(t, origin)).statusCode, 503)
    leaving.socket.destroy()
    await closed
  })
}

/** An application with `noServer`, beside an HTTP server whose upgrades it is given. */
async function serveUpgrades (t: Test, options: fastifyWebsocket.WebsocketServerOptions) {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { ...options, noServer: true } })
  server.on('upgrade', (request, socket, head) => {
    fastify.websocketServer.handleUpgrade(request, socket, head, (socket) => { socket.send('in') })
  })
  return { server, origin, fastify }
}
