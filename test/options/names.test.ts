// Names that are no options where they stand: each would be a guard that is not there.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { test } from 'tap'
import { WebSocket } from 'ws'
import type { FastifyInstance } from 'fastify'
import fastifyWebsocket from '../../src/index'
import { PLUGIN_PLACE, ROUTE_PLACE, SERVER_PLACE } from '../../src/options/names'
import { connect } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { ROOT } from '../helpers/program'
import { createFastify, createHttp } from '../helpers/servers'

type Wrong = readonly [options: object, code: string, message: RegExp]

const MISPLACED = 'FST_WS_MISPLACED_OPTION'
const UNKNOWN = 'FST_WS_UNKNOWN_OPTION'
const UNSUPPORTED = 'FST_WS_UNSUPPORTED_OPTION'

class Mistyped {
  // A name that is not enumerable, as all of a class.
  verifyclient (): boolean { return false }
}

class Helper {
  get origin (): string { return 'same-host' }
  describe (): string { return 'origin' }
}

const WRONG_PLUGIN_OPTIONS: readonly Wrong[] = [
  [{ verifyClient: () => false }, MISPLACED, /option verifyClient .* as options\.verifyClient$/],
  [{ maxPayload: 10 }, MISPLACED, /option maxPayload .* as options\.maxPayload$/],
  [{ path: '/ws' }, MISPLACED, /option path .* as options\.path$/],
  [{ incoming: {} }, MISPLACED, /option incoming .* give it to the plugin as schema\.incoming$/],
  [{ options: { schema: {} } }, MISPLACED, /option options\.schema .* as schema$/],
  [{ noServer: true }, MISPLACED, /option noServer .* as options\.noServer$/],
  [Object.create({ maxPayload: 10 }), MISPLACED, /as options\.maxPayload$/],
  [{ handel: echo }, UNKNOWN, /unknown option handel: did you mean handle\?$/],
  [{ handler: echo }, UNKNOWN, /did you mean handle\?$/],
  [{ origins: [] }, UNKNOWN, /did you mean origin\?$/],
  [{ orgin: 'same-host' }, UNKNOWN, /did you mean origin\?$/],
  [{ prigin: 'same-host' }, UNKNOWN, /did you mean origin\?$/],
  [{ HEARTBEAT: 1000 }, UNKNOWN, /did you mean heartbeat\?$/],
  [{ maxconnections: 1 }, UNKNOWN, /did you mean maxConnections\?$/],
  [{ maxPayLoad: 1 }, UNKNOWN, /did you mean options\.maxPayload\?$/],
  [new Mistyped(), UNKNOWN, /verifyclient: did you mean options\.verifyClient\?$/],
  [{ preClose: () => {} }, UNKNOWN, /option preClose: it is a hook here, fastify\.addHook/],
  [{ options: { preClose: () => {} } }, MISPLACED, /give it to the plugin as preClose$/],
  [{ WebSocket }, UNSUPPORTED, /option WebSocket is not supported: .* StreamSocket$/],
  [{ options: { origin: 'same-host' } }, MISPLACED, /option options\.origin .* as origin$/],
  [{ options: { heartbeat: 1000 } }, MISPLACED, /option options\.heartbeat .* as heartbeat$/],
  [{ options: { maxConnections: 1 } }, MISPLACED, /as maxConnections$/],
  [{ options: { closeTimeout: 1000 } }, MISPLACED, /as closeTimeout$/],
  [{ options: { maxPayLoad: 1 } }, UNKNOWN, /did you mean options\.maxPayload\?$/],
  [{ options: { heartBeat: 1 } }, UNKNOWN, /options\.heartBeat: did you mean heartbeat\?$/],
  [{ options: { compression: true } }, UNKNOWN, /options\.compression: there are objectMode, /],
  [{ options: Object.create({ dbUrl: 'x' }) }, UNKNOWN, /options\.dbUrl: there are objectMode, /],
  [{ options: Object.assign(Object.create(null), { dbUrl: 'x' }) }, UNKNOWN, /options\.dbUrl/],
  [{ options: new Mistyped() }, UNKNOWN, /did you mean options\.verifyClient\?$/],
  [{ options: { WebSocket } }, UNSUPPORTED, /option options\.WebSocket is not supported/],
  [
    { options: { perMessageDeflate: { treshold: 10 } } },
    UNKNOWN, /options\.perMessageDeflate\.treshold: did you mean options\.perM.*\.threshold\?$/
  ],
  [{ options: { perMessageDeflate: { maxPayload: 10 } } }, MISPLACED, /as options\.maxPayload$/]
]

const WRONG_ROUTE_OPTIONS: readonly Wrong[] = [
  [{ hartbeat: 1 }, UNKNOWN, /unknown option websocket\.hartbeat: did you mean websocket\.heart/],
  [{ heartbeat: 1000, closeTimeout: 1 }, MISPLACED, /websocket\.closeTimeout .* as closeTimeout$/],
  [{ schema: { incoming: {} } }, MISPLACED, /websocket\.schema .* write it beside websocket$/],
  [{ incoming: {} }, MISPLACED, /websocket\.incoming .* write schema: \{ incoming \} beside webso/],
  [{ outgong: {} }, UNKNOWN, /did you mean schema\.outgoing\?$/],
  [{ handle: echo }, MISPLACED, /websocket\.handle .* as handle$/],
  [{ verifyClient: () => false }, MISPLACED, /as options\.verifyClient$/],
  [{ auth: true }, UNKNOWN, /websocket\.auth: there are heartbeat, maxPayload, maxBackpressure, e/],
  [{ maxConections: 1 }, UNKNOWN, /did you mean maxConnections\?$/],
  [{ WebSocket }, UNSUPPORTED, /option websocket\.WebSocket is not supported/]
]

const WRONG_DECLARATIONS: readonly Wrong[] = [
  [
    { websocket: true, origin: 'same-host' },
    MISPLACED, /option origin of the route does nothing there: write websocket: \{ origin \}$/
  ],
  [{ websocket: { heartbeat: 1000 }, maxPayload: 10 }, MISPLACED, /write websocket: \{ maxPayload/],
  [{ wsHandler: echo, heartbeat: 1000 }, MISPLACED, /write websocket: \{ heartbeat \}$/],
  [
    { websocket: true, verifyClient: () => false },
    MISPLACED, /verifyClient of the route .* give it to the plugin as options\.verifyClient$/
  ],
  [{ websocket: true, maxConnections: 1 }, MISPLACED, /give it to the plugin as maxConnections$/],
  [
    { websocket: true, incoming: {} },
    MISPLACED, /incoming of the route .* write schema: \{ incoming \}$/
  ],
  [
    { wsHandler: echo, outgoing: {} },
    MISPLACED, /outgoing of the route .* write schema: \{ outgoing \}$/
  ],
  [{ webSocket: true }, UNKNOWN, /option webSocket of the route: did you mean websocket\?$/],
  [{ websockets: true }, UNKNOWN, /did you mean websocket\?$/],
  [{ wshandler: echo }, UNKNOWN, /did you mean wsHandler\?$/]
]

for (const [wrong, code, message] of WRONG_DECLARATIONS) {
  test(`a route with ${inspect(wrong)} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    fastify.get('/', wrong, async () => '')
    await t.rejects(settled(fastify.ready()), { code, message })
  })
}

test('a route may have what Fastify and other plugins have for routes', async (t) => {
  const others: object = {
    errorHandler: () => {},
    handlerTimeout: 1000,
    bodyLimit: 1,
    config: { origin: 'any' },
    host: 'example.com',
    cors: true,
    verifyClient: undefined
  }
  const { fastify } = await serve(t, {
    declare: (fastify) => {
      const origin: object = { origin: 'any', heartbeat: 1, verifyClient: () => false }
      fastify.get('/plain', origin, async () => 'plain')
      fastify.get('/', { ...others, websocket: true }, echo)
    }
  })
  t.equal((await fastify.inject('/plain')).body, 'plain')
})

for (const [options, code, message] of WRONG_PLUGIN_OPTIONS) {
  test(`${inspect(options)} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    await t.rejects(settled(fastify.register(fastifyWebsocket, options)), { code, message })
  })
}

for (const [websocket, code, message] of WRONG_ROUTE_OPTIONS) {
  test(`websocket: ${inspect(websocket)} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    const wrong: object = { websocket }
    fastify.get('/', wrong, async () => '')
    await t.rejects(settled(fastify.ready()), { code, message })
  })
}

test('a server among the options of the plugin is misplaced', async (t) => {
  const { server } = await createHttp(t)
  const fastify = createFastify(t)
  const wrong: object = { server }
  await t.rejects(settled(fastify.register(fastifyWebsocket, wrong)), {
    code: MISPLACED, message: /option server .* as options\.server$/
  })
})

/** The server options that Fastify documents, as it is installed. */
const SERVER_OPTIONS = readDocumented(join('fastify', 'docs', 'Reference', 'Server.md'))

function readDocumented (path: string): string[] {
  const text = readFileSync(join(ROOT, 'node_modules', path), 'utf8')
  return [...text.matchAll(/^### `(\w+)`/gm)].map(([, name]) => name ?? '')
}

/** Options of `listen`, of fastify-cli and of `@fastify/autoload`, and a few of applications. */
const APPLICATION_OPTIONS = [
  'port', 'host', 'backlog', 'exclusive', 'readableAll', 'writableAll', 'ipv6Only', 'signal',
  'listenTextResolver',
  'address', 'socket', 'debug', 'debugPort', 'debugHost', 'logLevel', 'prettyLogs', 'watch',
  'watchIgnorePattern', 'verboseWatch', 'prefix', 'require', 'import', 'lang', 'method',
  'includeHooks', 'trustProxyHop', 'trustProxyIps', 'trustProxyEnabled', 'trustProxyHopCount',
  'loggingModule', 'closeGraceDelay', 'skipOverride', 'config',
  'dir', 'dirNameRoutePrefix', 'matchFilter', 'ignoreFilter', 'ignorePattern', 'indexPattern',
  'scriptPattern', 'forceESM', 'encapsulate', 'maxDepth', 'autoHooks', 'autoHooksPattern',
  'cascadeHooks', 'overwriteHooks', 'routeParams', 'autoConfig', 'decorateRequest',
  'dbUrl', 'database', 'redis', 'secret', 'servers', 'clients', 'minConnections', 'myServer',
  'hosts', 'ports', 'paths', 'pat', 'nigiro'
]

test('the options of an application, spread into those of the plugin, are let be', async (t) => {
  t.ok(SERVER_OPTIONS.length > 30 && SERVER_OPTIONS.includes('http2'))
  const names = [...SERVER_OPTIONS, ...APPLICATION_OPTIONS]
  // What register itself takes has to be of its type.
  const all = Object.fromEntries(names.map((name) => [name, { of: 'the application' }]))
  const plugin = { ...all, prefix: '/app', server: { name: 'one' }, handle: echo }
  const { origin } = await serve(t, { plugin })
  const client = await connect(t, `${origin}/app`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('a wrong name whose value is undefined or null is not given', async (t) => {
  const nothing: object = { handel: undefined, maxPayload: null, options: { WebSocket: undefined } }
  const { origin } = await serve(t, {
    plugin: nothing,
    declare: (fastify: FastifyInstance) => {
      const websocket: object = { verifyClient: null }
      fastify.get('/', { websocket }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send('hi')
  t.equal(await client.nextText(), 'hi')
})

test('a class of options may have methods that are no options', async (t) => {
  const { origin } = await serve(t, {
    plugin: new Helper(),
    declare: (fastify) => fastify.get('/', { websocket: new Helper() }, echo)
  })
  const client = await connect(t, origin)
  client.send('hi')
  t.equal(await client.nextText(), 'hi')
})

test('each place has its names once, and what a route has the plugin has', async (t) => {
  const names = [...PLUGIN_PLACE.names, ...SERVER_PLACE.names]
  t.equal(new Set(names).size, names.length)
  for (const name of ROUTE_PLACE.names) t.ok(names.includes(name), name)
})
