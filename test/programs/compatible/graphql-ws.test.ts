// graphql-ws 6 with its own client, by its handler for @fastify/websocket.
import { buildSchema } from 'graphql'
import { createClient, GRAPHQL_TRANSPORT_WS_PROTOCOL, type Client } from 'graphql-ws'
import { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../../helpers/client'
import { serveCompatible } from './serve'

// Its types are those of an application of @fastify/websocket, which describe the names of Fastify
// that ours describe.
const { makeHandler } = require('graphql-ws/use/@fastify/websocket')

const SCHEMA = buildSchema(`
  type Query { hello: String }
  type Subscription { count: Int }
`)

const ROOTS = {
  query: { hello: () => 'hello' },
  subscription: {
    count: async function * () {
      for (let count = 1; count <= 3; count++) yield { count }
    }
  }
}

function createGraphqlClient (t: Test, url: string): Client {
  const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
  t.teardown(() => client.dispose())
  return client
}

async function collect (client: Client, query: string): Promise<unknown[]> {
  const results: unknown[] = []
  for await (const result of client.iterate({ query })) results.push(result)
  return results
}

for (const websocket of [true, { maxPayload: 10_000 }] as const) {
  const route = websocket === true ? 'a route' : 'a route with limits of its own'
  test(`${route} serves queries and subscriptions of the client of graphql-ws`, async (t) => {
    const handler = makeHandler({ schema: SCHEMA, roots: ROOTS })
    const { origin } = await serveCompatible(t, (fastify) => {
      fastify.get('/graphql', { websocket }, handler)
    })
    const client = createGraphqlClient(t, `${origin}/graphql`)
    t.match(await collect(client, '{ hello }'), [{ data: { hello: 'hello' } }])
    t.match(await collect(client, 'subscription { count }'), [1, 2, 3].map((count) => {
      return { data: { count } }
    }))
  })

  test(`${route} follows the handleProtocols that graphql-ws sets`, async (t) => {
    const handler = makeHandler({ schema: SCHEMA, roots: ROOTS })
    const { origin } = await serveCompatible(t, (fastify) => {
      fastify.get('/graphql', { websocket }, handler)
    })
    const offered = ['other', GRAPHQL_TRANSPORT_WS_PROTOCOL]
    const protocolOf = async (): Promise<string> => {
      return (await connect(t, `${origin}/graphql`, {}, offered)).socket.protocol
    }
    // The handler sets it, so it decides from the second connection on.
    t.strictSame([await protocolOf(), await protocolOf()], offered)
  })
}
