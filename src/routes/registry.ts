/**
 * Watches every Fastify instance of the process from its first moment on. Each instance gets hooks
 * that record its routes (`declared-route.ts`), tell of replies, and tell that it begins to close,
 * so that a plugin which is registered later can take the upgrades of earlier routes.
 *
 * A process has one registry, however many copies of this library are loaded: each copy joins the
 * record of an application as a taker.
 */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { kReplyWatcher } from '../handshake/symbols'
import { createApplication, type Application } from './application'
import { adoptRoute } from './declared-route'
import { createLateFilter } from './upgrade-or-plain'

/** Fastify announces every new instance on this channel, as its documentation says. */
const CHANNEL = 'fastify.initialization'

/**
 * On the channel: the registry of the process. Other copies of this library look for this name, so
 * it stays. Its number changes when the types of `application.ts` do.
 */
const kRegistry = Symbol.for('fastify-websocket.recorder.3')

interface Registry {
  /** Applications, by the method `routing`, which all instances of an application share. */
  readonly applications: WeakMap<object, Application>
  readonly onInstance: (message: unknown) => void
}

let applications: Registry['applications'] = new WeakMap()

/**
 * Begins to watch new instances, in place of an older copy of this library: a copy that nothing
 * else uses can then be collected. The registry is kept on the channel and not on `globalThis`,
 * because jest gives each test file a `globalThis` of its own.
 */
export function watchNewInstances (): void {
  const initialization: object & { [kRegistry]?: Registry } = channel(CHANNEL)
  const older = initialization[kRegistry]
  applications = older?.applications ?? applications
  // Node.js forgets a channel without subscribers, so the new subscriber comes before the old goes.
  subscribe(CHANNEL, onInstance)
  if (older !== undefined) unsubscribe(CHANNEL, older.onInstance)
  initialization[kRegistry] = { applications, onInstance }
}

function onInstance (message: unknown): void {
  // The documented shape of the message, which Node.js cannot know.
  const { fastify } = message as { fastify: FastifyInstance }
  watch(fastify)
}

/** The record of the application that `fastify` is part of. */
export function applicationOf (fastify: FastifyInstance): Application {
  const known = applications.get(fastify.routing)
  if (known !== undefined) return known
  const application = createApplication(fastify)
  applications.set(fastify.routing, application)
  return application
}

function watch (fastify: FastifyInstance): void {
  const application = applicationOf(fastify)
  application.watched.add(fastify)
  fastify.addHook('onRequest', tellOfReply)
  fastify.addHook('onError', tellOfError)
  fastify.addHook('preClose', async () => {
    for (const onClosing of application.onClosing) onClosing()
  })
  // The hook is asynchronous, because after a synchronous one, a Fastify that is closed before it
  // is ready would never continue.
  fastify.addHook('onReady', async () => {
    for (const onCompilers of application.onCompilers) onCompilers()
  })
  fastify.addHook('onRegister', (child) => {
    application.watched.add(child)
    application.last = child
  })
  fastify.addHook('onRoute', function (options) { adoptRoute(this, options, application) })
}

/**
 * Watches an instance that was made before this library was loaded, unless it is watched already.
 * Upgrades of the routes that the instance already has are refused, because Fastify does not tell
 * whether these are websocket routes.
 */
export function watchLate (fastify: FastifyInstance): Application {
  const application = applicationOf(fastify)
  if (application.watched.has(fastify)) return application
  if (application.watched.size === 0) application.hasUnknown = hasRoutes(fastify)
  watch(fastify)
  fastify.addHook('onRequest', createLateFilter(application))
  return application
}

/** The text of `printRoutes` for an instance without GET routes. */
const NO_ROUTES = '(empty tree)'

function hasRoutes (fastify: FastifyInstance): boolean {
  return fastify.printRoutes({ method: 'GET' }) !== NO_ROUTES
}

/** The root of an application: an instance has its parent as prototype, as Fastify documents. */
export function rootOf (fastify: FastifyInstance): FastifyInstance {
  const parent: Partial<FastifyInstance> | null = Object.getPrototypeOf(fastify)
  return parent?.routing === undefined ? fastify : rootOf(parent as FastifyInstance)
}

/** Follows the reply to a raw request. A copy of this library puts one on each of its upgrades. */
interface ReplyWatcher {
  /** Fastify has made the reply. No hook of the user has run. */
  onReply (reply: FastifyReply): void
  /** An error has occurred, and Fastify is about to answer with it. */
  onError (error: Error): void
}

function replyWatcherOf (
  { raw }: { raw: IncomingMessage & { [kReplyWatcher]?: ReplyWatcher } }
): ReplyWatcher | undefined {
  return raw[kReplyWatcher]
}

/** The first hook of each application: no hook of the user can answer before it has run. */
function tellOfReply (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  replyWatcherOf(request)?.onReply(reply)
  done()
}

function tellOfError (
  request: FastifyRequest, _reply: FastifyReply, error: Error, done: () => void
): void {
  replyWatcherOf(request)?.onError(error)
  done()
}
