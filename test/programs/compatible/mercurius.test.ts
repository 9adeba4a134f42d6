// Mercurius 16 with subscriptions, on a compatible registration that comes first.
import { createClient } from 'graphql-ws'
import { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import type fastifyWebsocket from '../../../src/index'
import { Warnings } from '../../helpers/warnings'
import { serveCompatible } from './serve'

// As JavaScript loads it: it loads @fastify/websocket, whose types describe the names of Fastify
// that ours describe.
const mercurius = require('mercurius')

const UNUSED_GUARD = 'FST_WS_UNUSED_GUARD'

const SCHEMA = `
  type Query { hello: String }
  type Mutation { say (text: String): Boolean }
  type Subscription { said: String }
`

const RESOLVERS = {
  Mutation: {
    async say (_root: unknown, { text }: { text: string }, { pubsub }: PubSubContext) {
      await pubsub.publish({ topic: 'SAID', payload: { said: text } })
      return true
    }
  },
  Subscription: {
    said: {
      subscribe: (_root: unknown, _args: unknown, { pubsub }: PubSubContext) => {
        return pubsub.subscribe('SAID')
      }
    }
  }
}

interface PubSubContext {
  pubsub: {
    publish (event: { topic: string, payload: object }): Promise<void>
    subscribe (topic: string): unknown
  }
}

function serveMercurius (
  t: Test, subscription: unknown, options?: fastifyWebsocket.WebsocketServerOptions
) {
  return serveCompatible(t, (fastify) => {
    fastify.register(mercurius, { schema: SCHEMA, resolvers: RESOLVERS, subscription })
  }, options)
}

test('a client gets what a mutation publishes, and no guard is missing', async (t) => {
  const warnings = new Warnings(t)
  const { fastify, origin } = await serveMercurius(t, true)
  const url = `${origin}/graphql`
  const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
  t.teardown(() => client.dispose())
  const said = client.iterate({ query: 'subscription { said }' })
  const first = said.next()
  // Mercurius does not tell when it has subscribed, so what is published may come before.
  let result: unknown
  first.then(({ value }) => { result = value })
  const payload = { query: 'mutation { say (text: "hello") }' }
  const say = async (): Promise<void> => {
    await fastify.inject({ method: 'POST', url: '/graphql', payload })
    if (result === undefined) await say()
  }
  await say()
  t.match(result, { data: { said: 'hello' } })
  t.strictSame(await warnings.with(UNUSED_GUARD), [])
})

test('its own verifyClient is never called, so there is a warning', async (t) => {
  const warnings = new Warnings(t)
  await serveMercurius(t, { verifyClient: () => false })
  const [warning, ...more] = await warnings.with(UNUSED_GUARD)
  t.match(warning, /as `options\.verifyClient`/)
  t.strictSame(more, [])
})

for (const maxPayload of [0, 2 * 1024 * 1024]) {
  test(`a maxPayload of ${maxPayload} is more than its own, so there is a warning`, async (t) => {
    const warnings = new Warnings(t)
    await serveMercurius(t, true, { maxPayload })
    const [warning, ...more] = await warnings.with(UNUSED_GUARD)
    t.match(warning, /limit of 1 MiB/)
    t.strictSame(more, [])
  })
}

test('without its subscriptions, and for other plugins, there is no warning', async (t) => {
  const warnings = new Warnings(t)
  const verifyClient = (): boolean => false
  await serveCompatible(t, (fastify) => {
    fastify.register(async () => {}, { subscriber: true, getOptions: {}, verifyClient })
    fastify.register(mercurius, { schema: SCHEMA, resolvers: {} })
    fastify.register(async () => {}, { verifyClient })
  }, { maxPayload: 0 })
  t.strictSame(await warnings.with(UNUSED_GUARD), [])
})
