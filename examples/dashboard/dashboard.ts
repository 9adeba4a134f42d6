// The dashboard of an application: a server of its own. Its page is public and holds nothing; the
// numbers need the token.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import fastifyWebsocket, { type StreamSocket, type WebsocketStats } from 'fastify-websocket'
import { Sampler } from './sampler'
import { isEqual } from './token'

const SUBPROTOCOL = 'dashboard'
/** Pages cannot send headers with a WebSocket, but subprotocols: one of them is the token. */
const TOKEN_PREFIX = 'token.'
const MAX_PAGES = 50
/** Bytes that may wait for a page that does not read. */
const MAX_UNSENT = 1024 * 1024
const CLOSE_POLICY_VIOLATION = 1008

const HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-cache'
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const JS = 'text/javascript; charset=utf-8'
const PUBLIC = join(__dirname, 'public')

const FILES = [
  { url: '/', file: join(PUBLIC, 'index.html'), type: HTML },
  { url: '/dashboard.css', file: join(PUBLIC, 'dashboard.css'), type: CSS },
  { url: '/dashboard.js', file: join(PUBLIC, 'dashboard.js'), type: JS },
  { url: '/charts.js', file: join(PUBLIC, 'charts.js'), type: JS },
  { url: '/uPlot.css', file: require.resolve('uplot/dist/uPlot.min.css'), type: CSS },
  { url: '/uPlot.js', file: require.resolve('uplot/dist/uPlot.esm.js'), type: JS }
]

/**
 * Makes the dashboard, which samples once a second from when it listens until it is closed.
 *
 * @param stats the numbers to show: `() => fastify.websocketServer.stats()`
 */
export function createDashboard (stats: () => WebsocketStats, token: string): FastifyInstance {
  const { LOG_LEVEL: level = 'warn' } = process.env
  // No URL is logged, because a token may be typed into one by mistake.
  const serializers = { req: ({ method }: { method: string }) => ({ method }) }
  const dashboard = Fastify({ logger: { level, serializers } })
  // Fastify's own handler logs the URL.
  dashboard.setNotFoundHandler(async (request, reply) => reply.code(404).send('not found'))

  const sampler = new Sampler(stats)
  const pages = new Set<StreamSocket>()

  dashboard.register(fastifyWebsocket, {
    origin: 'same-host',
    maxBackpressure: MAX_UNSENT,
    maxConnections: MAX_PAGES,
    options: {
      maxPayload: 1024,
      handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL
    }
  })

  dashboard.addHook('onListen', async () => {
    sampler.start((update) => {
      const text = JSON.stringify(update)
      for (const page of pages) page.send(text)
    })
  })
  dashboard.addHook('onClose', async () => { sampler.stop() })

  for (const { url, file, type } of FILES) {
    const body = readFileSync(file)
    dashboard.get(url, async (request, reply) => reply.type(type).headers(HEADERS).send(body))
  }

  // By a WebSocket: all that is kept, then a message each second. By HTTP: all that is kept.
  dashboard.route({
    method: 'GET',
    url: '/stats',
    onRequest: async (request, reply) => {
      reply.header('cache-control', 'no-store')
      if (isEqual(tokenOf(request), token)) return
      return reply.code(401).header('www-authenticate', 'Bearer').send('The token is wrong.')
    },
    handler: async () => sampler.all,
    wsHandler ({ socket }) {
      socket.send(JSON.stringify(sampler.all))
      pages.add(socket)
      socket.on('close', () => { pages.delete(socket) })
      socket.on('message', () => { socket.close(CLOSE_POLICY_VIOLATION, 'only listen') })
    }
  })

  return dashboard
}

/** The token that a request has brought, empty if there is none. */
function tokenOf ({ ws, headers }: FastifyRequest): string {
  if (!ws) return headers.authorization?.replace(/^Bearer /i, '') ?? ''
  const offered = headers['sec-websocket-protocol']?.split(',') ?? []
  const [token = ''] = offered.map((protocol) => protocol.trim())
    .filter((protocol) => protocol.startsWith(TOKEN_PREFIX))
  return token.slice(TOKEN_PREFIX.length)
}
