// Random applications: a plan is drawn from a table of options, and built as one or two Fastify
// instances that listen on a free port. Hooks act on upgrades only, because what Fastify itself
// does with a plain request is not judged here.
import Fastify, {
  type FastifyInstance, type FastifyRequest, type FastifyServerOptions
} from 'fastify'
import { once } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import fastifyWebsocket from '../../src/index'
import type {
  OriginCheck, VerifyClient, WebsocketErrorHandler, WebsocketHandler, WebsocketPluginOptions
} from '../../src/types'
import { portOf } from '../helpers/servers'
import { HANDLERS, THROWN, wait } from './handlers'
import { addAction, ANSWERS, DELAYS } from './hooks'
import { OtherProtocol } from './others'
import { drawPlan, type PlanOf, type Random } from './random'
import { createGivenServer, serverOf } from './versions'

/** What no refused client may read. */
export const SECRET = 'the secret of the application'

/** The route whose hook refuses every client. */
export const SECRET_PATH = '/secret'

/** In a path: the hooks of the plan look at the request. */
export const WITH_HOOKS = '?hooks'

/** Milliseconds that clients have when the application closes: longer than every wait of a hook. */
export const CLOSE_TIMEOUT = 400

/** For a plain answer that does not fit into any buffer of a socket. */
const BIG = Buffer.alloc(8_000_000, 'b')

const CHOICES = {
  tls: [0.25, true],
  givenServer: [0.15, true],
  twin: [0.15, 'closes first', 'closes, too'],
  otherListener: [0.4, 'ignores', 'answers', 'answers late'],
  logger: [0.5, true],
  forceCloseConnections: [0.4, true, 'idle'],
  connectionTimeout: [0.15, 100],
  handlerTimeout: [0.25, 40, 100],
  return503OnClosing: [0.1, false],
  rewriteUrl: [0.15, 'same', 'throw'],
  heartbeat: [0.3, 30, false],
  maxPayload: [0.3, 10, 100_000],
  maxBackpressure: [0.25, 1000, 1_000_000],
  maxConnections: [0.15, 0, 5, 50],
  origin: [0.25, 'same-host', 'slow yes', 'throw', 'reject'],
  verifyClient: [
    0.4, 'yes', 'no', 'answers', 'answers late', 'answers twice', 'promise', 'slow promise',
    'never', 'throw', 'reject'
  ],
  deflate: [0.3, true],
  objectMode: [0.3, true],
  clientTracking: [0.2, false],
  pauseTimeout: [0.2, 30],
  handle: [0.5, '/echo', '/reject', '/stream', '/forget'],
  errorHandler: [0.3, 'nothing', 'throw', 'reject'],
  onRequest: [0.15, 'wait', ...ANSWERS],
  preParsing: [0.15, 'wait', 'read', ...ANSWERS],
  preValidation: [0.15, 'wait', ...ANSWERS],
  preHandler: [0.15, 'wait', ...ANSWERS],
  onSend: [0.6, ...DELAYS],
  onSendAgain: [0.5, ...DELAYS],
  // Fastify itself logs what such a hook throws, and a frozen error makes the logger throw.
  onResponse: [0.15, 'wait', 'wait for nothing', 'throw', 'reject'],
  onError: [0.15, ...DELAYS],
  // The slip of many is drawn more often.
  guard: [0.8, 'answer', 'answer', ...ANSWERS],
  guardAt: [0.7, 'onRequest', 'preParsing', 'preValidation', 'preHandler'],
  http2: [0.45, 'beside HTTP/1', 'alone', 'without TLS'],
  // Never drawn: with it, an application fails as the siege has to see.
  sabotage: [0, 'uncaught', 'late', 'left', 'let in']
} as const

/** A plan of an application; where it says nothing, the default is in force. */
export type ApplicationPlan = PlanOf<typeof CHOICES>

/** Draws the plan of an application. */
export function drawApplication (random: Random): ApplicationPlan {
  return drawPlan(random, CHOICES)
}

/** An application under siege. */
export interface Application {
  readonly plan: ApplicationPlan
  readonly port: number
  readonly fastify: FastifyInstance
  /** How often the handler has run whose clients are all to be refused. */
  readonly leaks: () => number
  /** Connections that the server has. */
  readonly connections: ReadonlySet<Socket>
  /** Closes the Fastify instances. */
  close (): Promise<void>
  /** Ends all that may be left: a server that was given to the plugin, and every connection. */
  end (): Promise<void>
}

/** Builds an application that listens. */
export async function startApplication (plan: ApplicationPlan): Promise<Application> {
  let leaks = 0
  const onLeak: WebsocketHandler = ({ socket }) => {
    leaks++
    socket.send(SECRET)
  }
  const given = plan.givenServer || plan.twin !== undefined ? createGivenServer(plan) : null
  const fastify = createInstance(plan, given, onLeak)
  const twins = plan.twin === undefined ? [] : [createInstance(plan, given, onLeak)]
  const server = given ?? fastify.server
  const others = new OtherProtocol()
  const connections = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    connections.add(socket)
    socket.once('close', () => { connections.delete(socket) })
  })
  for (const instance of [fastify, ...twins]) await instance.ready()
  if (plan.otherListener !== undefined) others.listen(server, plan.otherListener)
  if (given === null) await fastify.listen({ port: 0, host: '127.0.0.1' })
  else await once(given.listen(0, '127.0.0.1'), 'listening')
  // Out of any promise or listener that could catch it.
  if (plan.sabotage === 'uncaught') setTimeout(() => { throw THROWN.error() })
  if (plan.sabotage === 'let in') leaks++

  return {
    plan,
    port: portOf(server),
    fastify,
    connections,
    leaks: () => leaks,
    async close () {
      others.close()
      const closed = twins.map((twin) => twin.close())
      if (plan.twin === 'closes first') await Promise.all(closed)
      await Promise.all([...closed, fastify.close()])
    },
    async end () {
      for (const socket of connections) socket.destroy()
      if (given !== null) await new Promise((resolve) => { given.close(resolve) })
    }
  }
}

function createInstance (
  plan: ApplicationPlan, server: Server | null, onLeak: WebsocketHandler
): FastifyInstance {
  const fastify = Fastify(serverOptionsOf(plan))
  fastify.register(fastifyWebsocket, pluginOptionsOf(plan, server))
  for (const name of HOOKS) {
    const action = plan[name]
    const hook = name === 'onSendAgain' ? 'onSend' : name
    if (action !== undefined) addAction(fastify, hook, action, isMeantForHooks)
  }
  const { guardAt = 'onRequest', guard = 'answer and return' } = plan
  addAction(fastify, guardAt, guard, ({ url }) => url.startsWith(SECRET_PATH))
  fastify.get(SECRET_PATH, { websocket: true }, onLeak)
  for (const [path, handler] of Object.entries(HANDLERS)) {
    fastify.get(path, { websocket: true }, handler)
  }
  declarePlainRoutes(fastify)
  // Both last longer than any siege waits: one holds `close()` up, the other is left behind it.
  if (plan.sabotage === 'late') fastify.addHook('onClose', () => wait(30_000))
  if (plan.sabotage === 'left') fastify.addHook('onClose', async () => { wait(30_000) })
  return fastify
}

function isMeantForHooks ({ url }: FastifyRequest): boolean {
  return url.endsWith(WITH_HOOKS)
}

const HOOKS = [
  'onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend', 'onSendAgain', 'onResponse',
  'onError'
] as const

function declarePlainRoutes (fastify: FastifyInstance): void {
  fastify.get('/sync', (_request, reply) => { reply.send('now') })
  fastify.get('/slow', async () => {
    // Pipelined upgrades wait for the answer, so some clients leave before and some after it.
    await wait(100)
    return 'at last'
  })
  // It begins an answer that does not end.
  fastify.get('/hang', (_request, reply) => reply.send(new Readable({ read () {} })))
  fastify.get('/big', () => BIG)
  fastify.post('/upload', ({ body }) => String(body).length)
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
}

function serverOptionsOf (plan: ApplicationPlan): FastifyServerOptions {
  const {
    http2, logger, rewriteUrl, forceCloseConnections, connectionTimeout, handlerTimeout,
    return503OnClosing
  } = plan
  const rewrite = ({ url = '/', headers }: IncomingMessage): string => {
    // Of a plain request, Fastify lets it reach the process.
    if (rewriteUrl === 'throw' && 'sec-websocket-key' in headers) throw THROWN['bare object']()
    return url
  }
  return {
    bodyLimit: 2_000_000,
    ...serverOf(plan),
    ...(logger && { logger: { level: 'debug', stream: { write () {} } } }),
    ...(rewriteUrl && { rewriteUrl: rewrite }),
    // A server of HTTP/2 cannot tell which connections are idle.
    ...(forceCloseConnections && { forceCloseConnections: http2 ? true : forceCloseConnections }),
    ...(connectionTimeout && { connectionTimeout }),
    ...(handlerTimeout && { handlerTimeout }),
    ...(return503OnClosing !== undefined && { return503OnClosing })
  }
}

function pluginOptionsOf (plan: ApplicationPlan, server: Server | null): WebsocketPluginOptions {
  const {
    heartbeat, maxPayload, maxBackpressure, maxConnections, origin, verifyClient, deflate,
    objectMode, clientTracking, pauseTimeout, handle, errorHandler, http2
  } = plan
  return {
    closeTimeout: CLOSE_TIMEOUT,
    heartbeat,
    maxBackpressure,
    maxConnections,
    origin: origin === undefined || origin === 'same-host' ? origin : ORIGIN_CHECKS[origin],
    handle: handle && HANDLERS[handle],
    errorHandler: errorHandler && ERROR_HANDLERS[errorHandler],
    options: {
      server,
      extendedConnect: http2 && true,
      maxPayload,
      verifyClient: verifyClient && VERIFIERS[verifyClient],
      perMessageDeflate: deflate && { threshold: 0 },
      objectMode,
      clientTracking,
      pauseTimeout
    }
  }
}

const ORIGIN_CHECKS: Record<'slow yes' | 'throw' | 'reject', OriginCheck> = {
  'slow yes': async () => {
    // Some clients leave before that, after 5 or 20 ms.
    await wait(30)
    return true
  },
  throw: () => { throw THROWN['bare object']() },
  reject: async () => { throw THROWN['frozen error']() }
}

type Verification = NonNullable<ApplicationPlan['verifyClient']>

const VERIFIERS: Record<Verification, VerifyClient> = {
  yes: () => true,
  no: () => false,
  answers: (_info, answer) => { answer(false, 403, 'no', { 'x-why': 'chaos' }) },
  // After `close()` has begun, in many sieges.
  'answers late': (_info, answer) => { setTimeout(answer, 50, true) },
  'answers twice': (_info, answer) => {
    answer(true)
    // The connection is open by then.
    setTimeout(answer, 5, false)
  },
  promise: async () => true,
  'slow promise': async () => {
    // Longer than a `handlerTimeout` of the plans.
    await wait(120)
    return true
  },
  never: (_info, _answer) => {},
  throw: () => { throw THROWN['frozen error']() },
  reject: async () => { throw THROWN['bare object']() }
}

const ERROR_HANDLERS: Record<'nothing' | 'throw' | 'reject', WebsocketErrorHandler> = {
  nothing: () => {},
  throw: () => { throw THROWN['frozen error']() },
  reject: async () => { throw THROWN['bare object']() }
}
