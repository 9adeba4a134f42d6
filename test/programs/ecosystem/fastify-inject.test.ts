// What holds over a socket holds in memory: the contract of the stream over injectWS.
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { Client, connect } from '../../helpers/client'
import { serve } from '../../helpers/plugin'
import { createFastify } from '../../helpers/servers'
import { contract, differences, type Connect } from '../../stream/contract'

/** Connects to a `handle` in memory, with the stream that the handler got. */
const connectInMemory: Connect = async (t, options = {}) => {
  const fastify = createFastify(t)
  const accepted = new Promise<fastifyWebsocket.SocketStream>((resolve) => {
    fastify.register(fastifyWebsocket, { handle: resolve, options })
  })
  await fastify.after()
  return { client: await inject(t, fastify), stream: await accepted }
}

/** A client that listens from the first moment. */
async function inject (t: Test, fastify: FastifyInstance, path?: string): Promise<Client> {
  const clients: Client[] = []
  const socket = await fastify.injectWS(path, {}, {
    onInit: (socket) => { clients.push(new Client(socket)) }
  })
  t.teardown(() => { socket.terminate() })
  const [client = new Client(socket)] = clients
  return client
}

for (const [title, run] of Object.entries(contract)) {
  test(`injectWS: ${title}`, (t) => run(t, connectInMemory))
}

for (const { name, ours, observe } of differences) {
  test(`injectWS: ${name}: ${ours}`, async (t) => {
    t.equal(await observe(t, connectInMemory), ours)
  })
}

for (const handle of [undefined, say('handle')]) {
  const what = handle === undefined ? 'routes' : 'routes and a handle'
  test(`injectWS: ${what} are reached by the paths that reach them over a socket`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: { handle },
      server: { rewriteUrl: ({ url = '' }) => url.replace('/v1', '') },
      declare: (fastify) => {
        fastify.get('/rooms/:room', { websocket: true }, say('room'))
        fastify.get('/plain', async () => 'plain')
        fastify.route({
          method: 'GET', url: '/both', handler: async () => '', wsHandler: say('both')
        })
        fastify.register(async (scope) => {
          scope.get('/', { websocket: true }, say('prefix'))
          scope.get('/plain', async () => 'plain')
        }, { prefix: '/api' })
      }
    })
    const paths = [
      '/', '/rooms/1', '/rooms/1/', '/both', '/both/', '/plain', '/missing', '/api', '/api/',
      '/api/any', '/api/plain', '/v1/both', '/%', '/rooms/%41', `/rooms/${'a'.repeat(101)}`
    ]
    const reached = new Set<string>()
    for (const path of paths) {
      const overSocket = await reach(() => connect(t, origin + path))
      t.equal(await reach(() => inject(t, fastify, path)), overSocket, path)
      reached.add(overSocket)
    }
    // What is too long for `:room` is not too long for a handle.
    const others = handle === undefined ? ['404', '414'] : ['handle']
    t.strictSame([...reached].sort(), ['400', 'both', 'prefix', 'room', ...others].sort())
  })
}

/** A handler that says who it is. */
function say (name: string): fastifyWebsocket.WebsocketHandler {
  return ({ socket }) => { socket.send(name) }
}

/** What a connection hears first, or the status of its refusal. */
async function reach (open: () => Promise<Client>): Promise<string> {
  try {
    return await (await open()).nextText()
  } catch (error) {
    return String(/\d{3}/.exec(String(error)))
  }
}
