import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { InvalidHandshakeError, MethodNotAllowedError } from './errors'
import { WebsocketPaths } from './paths'
import { UpgradeResponse } from './response'
import { routesOf } from './routes'
import { kUpgrade } from './symbols'

/** What emits `upgrade`: an HTTP or HTTPS server. */
export type UpgradeSource = Pick<Server, 'on' | 'off'>

/**
 * Takes the `upgrade` events of a server into the router of a Fastify application: once, however
 * many scopes of the application have the plugin.
 */
export class UpgradeListener {
  /** Upgrades that hooks, or the application's checks, have not decided yet. */
  readonly undecided = new Set<UpgradeResponse>()

  readonly #source: UpgradeSource
  readonly #fastify: FastifyInstance
  #paths: WebsocketPaths | null = null
  #users = 0

  constructor (source: UpgradeSource, fastify: FastifyInstance) {
    this.#source = source
    this.#fastify = fastify
  }

  /**
   * Whether it dispatches to the application that `fastify` is part of: all its instances
   * share `routing`.
   */
  serves (fastify: FastifyInstance): boolean {
    return fastify.routing === this.#fastify.routing
  }

  attach (): void {
    if (this.#users === 0) this.#source.on('upgrade', this.#onUpgrade)
    this.#users++
  }

  detach (): void {
    this.#users--
    if (this.#users === 0) this.#source.off('upgrade', this.#onUpgrade)
  }

  #onUpgrade = (request: IncomingMessage, transport: Duplex, head: Buffer): void => {
    const response = new UpgradeResponse(request, transport, head)
    const problem = findProblem(request)
    if (problem !== null) {
      response.refuse(problem)
      return
    }
    this.undecided.add(response)
    response.once('close', () => { this.undecided.delete(response) })
    this.#dispatch(request, response)
  }

  #dispatch (request: IncomingMessage, response: UpgradeResponse): void {
    this.#paths ??= new WebsocketPaths(routesOf(this.#fastify), this.#fastify)
    const url = request.url ?? '/'
    const routeUrl = this.#paths.resolve(url)
    if (routeUrl !== null && routeUrl !== url) {
      Object.assign(request, { url: routeUrl, originalUrl: url })
    }
    Object.assign(request, { [kUpgrade]: response })
    this.#fastify.routing(request, response)
  }
}

const listeners = new WeakMap<UpgradeSource, UpgradeListener[]>()

/** The one listener for a server and a Fastify application, of which `fastify` is any instance. */
export function upgradeListenerOf (
  source: UpgradeSource, fastify: FastifyInstance
): UpgradeListener {
  const known = listeners.get(source) ?? []
  const same = known.find((listener) => listener.serves(fastify))
  if (same !== undefined) return same
  const listener = new UpgradeListener(source, fastify)
  listeners.set(source, [...known, listener])
  return listener
}

/** What makes an upgrade request one that no router should see, or null. */
function findProblem (request: IncomingMessage): Error | null {
  const { headers, httpVersion, method } = request
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    return new InvalidHandshakeError('unknown protocol')
  }
  if (httpVersion === '1.0') return new InvalidHandshakeError('HTTP/1.1 is required')
  // Bytes behind the head are frames; as a body, they would be a request that nobody parsed.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return new InvalidHandshakeError('a body is not allowed')
  }
  if (method !== 'GET') return new MethodNotAllowedError()
  return null
}
