/**
 * Registers the plugin on a Fastify instance: checks the options, adds decorators and hooks, and
 * creates a `Registration`, which handles the upgrades. Begin to read here.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { AsyncApiOptions } from './asyncapi-types'
import { ClashError, RegisteredTwiceError } from './errors'
import { upgradeOf } from './handshake/upgrade-of'
import { createInject } from './inject/inject'
import { describeRoutes } from './messages/asyncapi/document'
import { resolveOptions } from './options/plugin-options'
import { checkRuntime } from './options/runtime'
import { Registration } from './registration'
import type { DeclaredRoute } from './routes/application'
import { declareGlobalRoute } from './routes/global-route'
import { watchExistingInstances } from './routes/late-load'
import { warnOfMercuriusGuards } from './routes/mercurius-guards'
import { kPlugin, pluginOf, routesOf } from './routes/registered-plugin'
import { applicationOf, watchNewInstances } from './routes/registry'

// This happens when the package is loaded, because routes may be declared before the plugin runs.
watchNewInstances()
watchExistingInstances()

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: object
): Promise<void> {
  checkRuntime(process.versions)
  const settings = resolveOptions(options, fastify)
  const registration = new Registration(fastify, settings)

  claimName(fastify, 'websocketServer', (name) => fastify.decorate(name, registration.server))
  const injectWS = createInject(fastify, registration.source, settings.extendedConnect)
  claimName(fastify, 'injectWS', (name) => fastify.decorate(name, injectWS))
  claimName(fastify, 'asyncapi', (name) => fastify.decorate(name, (options: AsyncApiOptions) => {
    return describeRoutes(routesBelow(fastify), options)
  }))
  claimName(fastify, 'ws', (name) => fastify.decorateRequest(name, WS_PROPERTY))
  fastify.decorate(kPlugin, registration)
  siblingsOf(fastify).push(registration)
  checkRoutes(fastify)
  if (settings.handle !== null) {
    registration.globalRoute = declareGlobalRoute(fastify, settings.handle, settings.schema)
  }

  if (settings.isCompatible) warnOfMercuriusGuards(fastify, settings.connection.maxPayload)
  if (settings.preClose !== null) fastify.addHook('preClose', settings.preClose)

  fastify.addHook('onReady', async () => {
    await registration.open()
    // Only now all instances exist. On the newest one, this hook runs after all hooks of the user.
    applicationOf(fastify).last.addHook('preClose', () => closeTogether(fastify))
  })
  applicationOf(fastify).onClosing.push(() => { registration.refuse() })
  fastify.addHook('onClose', () => registration.close())
}

/** The routes of the application whose upgrades a registration of the plugin takes. */
function routesBelow (fastify: FastifyInstance): DeclaredRoute[] {
  return routesOf(fastify).filter(({ instance }) => pluginOf(instance) !== undefined)
}

/** @throws FST_WS_CLASH if there is a decorator of this name */
function claimName<Name extends string> (
  fastify: FastifyInstance, name: Name, decorate: (name: Name) => unknown
): void {
  try {
    decorate(name)
  } catch (cause) {
    // The property is own: a registration on an instance above does not clash.
    if (Object.hasOwn(fastify, kPlugin)) throw new RegisteredTwiceError({ cause })
    throw new ClashError(takenName(name), { cause })
  }
}

function takenName (name: string): string {
  return `this instance has a decorator \`${name}\` already, of your own, of another copy ` +
    'of this package, or of @fastify/websocket, which mercurius registers for its subscriptions: ' +
    'register one of the two in a scope of its own'
}

/** The property `ws` of requests. Another plugin may set its own in a scope below. */
const WS_PROPERTY = {
  getter (this: FastifyRequest): boolean {
    return upgradeOf(this.raw) !== undefined
  },
  // @fastify/websocket sets `ws`. Without a setter, each request of its scope would throw.
  setter (this: FastifyRequest, value: boolean): void {
    const isPlain = { configurable: true, enumerable: true, writable: true }
    Object.defineProperty(this, 'ws', { value, ...isPlain })
  }
}

/** @throws the first problem of the routes that were declared before the plugin was registered */
function checkRoutes (fastify: FastifyInstance): void {
  for (const { instance, problem } of routesOf(fastify)) {
    if (problem !== null && pluginOf(instance) !== undefined) throw problem
  }
}

/** The registrations of an application, by `routing`, which all of its instances share. */
const registrations = new WeakMap<object, Registration[]>()

function siblingsOf ({ routing }: FastifyInstance): Registration[] {
  const siblings = registrations.get(routing) ?? []
  registrations.set(routing, siblings)
  return siblings
}

/**
 * Closes the clients of all registrations at the same time. If each registration had a hook of its
 * own, Fastify would run these hooks one after the other, and their waiting times would add up.
 */
async function closeTogether (fastify: FastifyInstance): Promise<void> {
  await Promise.all(siblingsOf(fastify).map((each) => each.closeClients()))
}
