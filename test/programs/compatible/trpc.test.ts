// tRPC 11 with its own client, on both of its servers: the plugin for Fastify, with `useWSS`, and
// the handler for a server of ws.
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { WebSocket, type WebSocketServer } from 'ws'
import { compatible } from '../../../src/index'
import { serveCompatible } from './serve'

// Its types are those of an application of @fastify/websocket, which describe the names of Fastify
// that ours describe.
const { fastifyTRPCPlugin } = require('@trpc/server/adapters/fastify')

const { router, procedure } = initTRPC.create()

const appRouter = router({
  hello: procedure.query(() => 'hello'),
  fail: procedure.mutation(() => { throw new Error('as announced') }),
  count: procedure.subscription(async function * () {
    for (let i = 1; i <= 3; i++) yield i
  })
})

/** What a server is made with: the listeners of `connection` come before the first client. */
const SERVERS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'fastifyTRPCPlugin with useWSS' (fastify) {
    fastify.register(fastifyTRPCPlugin, {
      prefix: '/trpc', useWSS: true, trpcOptions: { router: appRouter }
    })
  },
  async 'applyWSSHandler on websocketServer' (fastify) {
    fastify.get('/trpc', { websocket: true }, compatible(() => {}))
    await fastify.after()
    // The type of ws, of which the server is one, knows only sockets of its own class.
    const wss = fastify.websocketServer as unknown as WebSocketServer
    applyWSSHandler({ wss, router: appRouter })
  }
}

for (const [name, declare] of Object.entries(SERVERS)) {
  test(`${name} serves queries, mutations and subscriptions of @trpc/client`, async (t) => {
    const { fastify, origin } = await serveCompatible(t, declare)
    const wsClient = createWSClient({ url: `${origin}/trpc`, WebSocket: Object(WebSocket) })
    t.teardown(() => wsClient.close())
    const client = createTRPCClient<typeof appRouter>({ links: [wsLink({ client: wsClient })] })

    t.equal(await client.hello.query(), 'hello')
    await t.rejects(client.fail.mutate(), { message: 'as announced' })
    const counted: number[] = []
    await new Promise<void>((resolve, reject) => {
      client.count.subscribe(undefined, {
        onData (data) { counted.push(data) }, onError: reject, onComplete: resolve
      })
    })
    t.strictSame(counted, [1, 2, 3])
    t.equal(fastify.websocketServer.clients.size, 1)
  })
}
