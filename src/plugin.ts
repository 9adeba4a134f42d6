/** What registering the plugin does to a Fastify instance: options, decorators, hooks. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ClashError } from './errors'
import { upgradeOf } from './handshake/upgrade-of'
import { createInject } from './inject/inject'
import { resolveOptions } from './options/plugin-options'
import { checkRuntime } from './options/runtime'
import { Registration } from './registration'
import { declareGlobalRoute } from './routes/global-route'
import { applicationOf } from './routes/registry'
import { kPlugin, pluginOf, routesOf } from './routes/websocket-route'
import type { WebsocketPluginOptions } from './types'

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  checkRuntime(process.versions)
  const settings = resolveOptions(options, fastify)
  const registration = new Registration(fastify, settings)

  claimName('websocketServer', (name) => fastify.decorate(name, registration.server))
  const injectWS = createInject(fastify, registration.source)
  claimName('injectWS', (name) => fastify.decorate(name, injectWS))
  claimName('ws', (name) => fastify.decorateRequest(name, WS_PROPERTY))
  fastify.decorate(kPlugin, registration)
  siblingsOf(fastify).push(registration)
  checkRoutes(fastify)
  if (settings.handle !== null) declareGlobalRoute(fastify, settings.handle)

  fastify.addHook('onReady', async () => {
    await registration.open()
    // Now that all instances exist: the hooks of the user come first, wherever they are declared.
    applicationOf(fastify).last.addHook('preClose', () => closeTogether(fastify))
  })
  applicationOf(fastify).onClosing.push(() => { registration.refuse() })
  fastify.addHook('onClose', () => registration.close())
}

/** @throws FST_WS_CLASH, if the name of a decorator is taken */
function claimName<Name extends string> (name: Name, decorate: (name: Name) => unknown): void {
  try {
    decorate(name)
  } catch (cause) {
    throw new ClashError(takenName(name), { cause })
  }
}

function takenName (name: string): string {
  return `this instance has a decorator \`${name}\` already, of a second registration, of your ` +
    'own, or of @fastify/websocket, which mercurius registers for its subscriptions: ' +
    'register one of the two in a scope of its own'
}

/** The property `ws` of requests. In a scope below, another plugin may have one of its own. */
const WS_PROPERTY = {
  getter (this: FastifyRequest): boolean {
    return upgradeOf(this.raw) !== undefined
  },
  // @fastify/websocket sets it. Without a setter each request of its scope would throw.
  setter (this: FastifyRequest, value: boolean): void {
    const isPlain = { configurable: true, enumerable: true, writable: true }
    Object.defineProperty(this, 'ws', { value, ...isPlain })
  }
}

/** @throws the first problem of the routes that were declared before the plugin was there */
function checkRoutes (fastify: FastifyInstance): void {
  for (const { instance, problem } of routesOf(fastify)) {
    if (problem !== null && pluginOf(instance) !== undefined) throw problem
  }
}

/** The registrations of an application, of which all instances share `routing`. */
const registrations = new WeakMap<object, Registration[]>()

function siblingsOf ({ routing }: FastifyInstance): Registration[] {
  const siblings = registrations.get(routing) ?? []
  registrations.set(routing, siblings)
  return siblings
}

/** Fastify runs its hooks one after the other, but the clients of all are to go at once. */
async function closeTogether (fastify: FastifyInstance): Promise<void> {
  await Promise.all(siblingsOf(fastify).map((each) => each.closeClients()))
}
