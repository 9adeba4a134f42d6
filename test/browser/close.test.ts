import type fastifyWebsocket from '../../src/index'
import {
  browserTest, closeOf, declarePage, openClient, openPage, type PageClose
} from '../helpers/browser'
import { serve } from '../helpers/plugin'
import { nextStream } from '../helpers/streams'
import type { Teardown } from '../helpers/servers'

/** 123 bytes, the longest reason that a close frame has room for. */
const LONGEST_REASON = `${'€'.repeat(40)}xyz`

interface Ending {
  readonly name: string
  readonly handler: fastifyWebsocket.WebsocketHandler
  readonly seen: PageClose
}

const ENDINGS: readonly Ending[] = [
  {
    name: 'a code and a reason of the server',
    handler: ({ socket }) => { socket.close(4000, 'that is all') },
    seen: { code: 4000, reason: 'that is all', wasClean: true }
  },
  {
    name: 'the longest reason',
    handler: ({ socket }) => { socket.close(4999, LONGEST_REASON) },
    seen: { code: 4999, reason: LONGEST_REASON, wasClean: true }
  },
  {
    name: '1005 for a close without a code',
    handler: ({ socket }) => { socket.close() },
    seen: { code: 1005, reason: '', wasClean: true }
  },
  {
    name: '1000 for end()',
    handler: (connection) => { connection.end() },
    seen: { code: 1000, reason: '', wasClean: true }
  },
  {
    name: '1000 for destroy()',
    handler: (connection) => { connection.destroy() },
    seen: { code: 1000, reason: '', wasClean: true }
  },
  {
    name: '1011 for destroy(error)',
    handler: (connection) => { connection.destroy(new Error('as announced')) },
    seen: { code: 1011, reason: '', wasClean: true }
  },
  {
    name: '1011 for a handler that rejects',
    handler: async () => { throw new Error('as announced') },
    seen: { code: 1011, reason: '', wasClean: true }
  },
  {
    name: '1006, not clean, for terminate()',
    handler: ({ socket }) => { socket.terminate() },
    seen: { code: 1006, reason: '', wasClean: false }
  }
]

browserTest('a page sees in which of all ways the server ends a connection', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      declarePage(fastify)
      for (const [index, { handler }] of ENDINGS.entries()) {
        fastify.get(`/${index}`, { websocket: true }, handler)
      }
    }
  })
  const page = await openPage(t, origin)
  for (const [index, { name, seen }] of ENDINGS.entries()) {
    const client = await openClient(page, `${origin}/${index}`)
    t.same(await closeOf(client), seen, name)
    t.same(await client.evaluate(({ events }) => events), ['open', 'close'], name)
  }
})

/** A page, and how to connect it: both sides of a new connection, whose messages are not read. */
async function createConnect (t: Teardown, plugin: fastifyWebsocket.WebsocketPluginOptions = {}) {
  const { fastify, origin } = await serve(t, {
    plugin,
    declare: (fastify) => {
      declarePage(fastify)
      fastify.get('/open', { websocket: true }, (connection) => { connection.resume() })
    }
  })
  const page = await openPage(t, origin)
  const connect = async () => {
    const [stream, client] = await Promise.all([
      nextStream(fastify.websocketServer), openClient(page, `${origin}/open`)
    ])
    // Not `once` of node:events, which rejects on an `error` that comes before.
    const closed = new Promise<void>((resolve) => { stream.once('close', resolve) })
    return { stream, client, closed }
  }
  return { fastify, page, connect }
}

browserTest('the server sees the code and the reason that a page closes with', async (t) => {
  const { connect } = await createConnect(t)
  for (const [code, reason, seen] of [
    [3001, 'why', 3001], [1000, '', 1000], [4999, LONGEST_REASON, 4999],
    [undefined, undefined, 1005]
  ] as const) {
    const { stream, client, closed } = await connect()
    await client.evaluate(({ socket }, [code, reason]) => {
      socket.close(code, reason)
    }, [code, reason] as const)
    await closed
    t.equal(stream.closeCode, seen)
    t.equal(stream.closeReason, reason ?? '')
    t.same(await closeOf(client), { code: seen, reason: reason ?? '', wasClean: true })
  }
})

browserTest('the server sees 1001 of a tab that goes elsewhere or is closed', async (t) => {
  const { page, connect } = await createConnect(t)
  for (const leave of [() => page.reload(), () => page.close()]) {
    const { stream, closed } = await connect()
    await leave()
    await closed
    t.equal(stream.closeCode, 1001)
  }
})

browserTest('a page that sends more than maxPayload sees 1009', async (t) => {
  const { connect } = await createConnect(t, { options: { maxPayload: 1000 } })
  const { client } = await connect()
  await client.evaluate(({ socket }) => {
    socket.send('x'.repeat(1000))
    socket.send('x'.repeat(1001))
  })
  t.same(await closeOf(client), { code: 1009, reason: '', wasClean: true })
})

browserTest('a page sees 1001 when the server closes, which ends at once', async (t) => {
  const { fastify, connect } = await createConnect(t, { closeTimeout: 60_000 })
  const { client } = await connect()
  await fastify.close()
  t.same(await closeOf(client), { code: 1001, reason: '', wasClean: true })
})
