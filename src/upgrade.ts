import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  ClosingError, HeadersTooLargeError, Http2UnsupportedError, InvalidHandshakeError,
  MethodNotAllowedError
} from './errors'
import { WebsocketPaths } from './paths'
import { createPlainHead, emitConnection, isSecure, mayMissHeaders } from './plain'
import { UpgradeResponse } from './response'
import { createRouted, onRouting, watchRouting } from './routed-url'
import { routesOf } from './routes'
import { kUpgrade } from './symbols'
import { guard, occupy, onceVacant, unguard, vacate } from './transport'
import { isFree, UnclaimedUpgrades, type Upgrade } from './unclaimed'

/** Milliseconds that other listeners of the server have to answer what is not ours. */
const UNCLAIMED_TIMEOUT = 10_000

/** What emits `upgrade`: an HTTP or HTTPS server. */
export type UpgradeSource = Pick<
  Server, 'prependListener' | 'off' | 'listenerCount' | 'emit' | 'maxHeadersCount'
>

/**
 * Takes the `upgrade` events of a server into the router of a Fastify application: once, however
 * many scopes of the application have the plugin.
 */
export class UpgradeListener {
  /** Upgrades that hooks, or the application's checks, have not decided yet. */
  readonly undecided = new Set<UpgradeResponse>()

  readonly #source: UpgradeSource
  readonly #fastify: FastifyInstance
  readonly #unclaimed: UnclaimedUpgrades
  #paths: WebsocketPaths | null = null
  #users = 0
  #isClosing = false

  /** @param unclaimedTimeout milliseconds until an upgrade that nobody answers gets a 404 */
  constructor (
    source: UpgradeSource, fastify: FastifyInstance, unclaimedTimeout = UNCLAIMED_TIMEOUT
  ) {
    this.#source = source
    this.#fastify = fastify
    this.#unclaimed = new UnclaimedUpgrades(unclaimedTimeout, this.#giveUp)
    watchRouting(fastify)
  }

  /**
   * Whether it dispatches to the application that `fastify` is part of: all its instances
   * share `routing`.
   */
  serves (fastify: FastifyInstance): boolean {
    return fastify.routing === this.#fastify.routing
  }

  attach (): void {
    // First of all, so that what the other listeners do to a socket is seen to be theirs.
    if (this.#users === 0) this.#source.prependListener('upgrade', this.#onUpgrade)
    this.#users++
  }

  detach (): void {
    this.#users--
    if (this.#users > 0) return
    this.#source.off('upgrade', this.#onUpgrade)
    listeners.set(this.#source, listenersOf(this.#source).filter((other) => other !== this))
  }

  /** The application is closing, and others have no more time for their answers. */
  close (): void {
    this.#isClosing = true
    this.#unclaimed.close()
  }

  #onUpgrade = (request: IncomingMessage, transport: Duplex, head: Buffer): void => {
    if (this.#source.listenerCount('upgrade') === 1) {
      this.#answer({ request, transport, head, bytesWritten: 0 })
      return
    }
    guard(transport)
    const { bytesWritten } = request.socket
    process.nextTick(this.#share, { request, transport, head, bytesWritten })
  }

  // --- Beside other listeners ---

  #share = (upgrade: Upgrade): void => {
    unguard(upgrade.transport)
    if (!isFree(upgrade)) return
    try {
      if (this.#isMine(upgrade.request)) this.#answer(upgrade)
      else this.#unclaimed.add(upgrade)
    } catch (error) {
      // The application's `shouldHandle` has thrown.
      this.#log(error)
      this.#refuse(upgrade, error)
    }
  }

  // What nobody here can switch to is a plain request, whoever else listens: those who speak
  // another protocol than WebSocket have one tick to begin.
  #isMine (request: IncomingMessage): boolean {
    return !asksForWebSocket(request) || this.#claims(request)
  }

  // A route for HTTP alone claims nothing: somebody else may own upgrades of its path, as Vite does
  // of `/`, which is the page, too.
  #claims (request: IncomingMessage): boolean {
    const routed = createRouted(this.#fastify, request)
    this.#correctUrl(routed)
    return this.#knownPaths.claims(routed)
  }

  /** Refuses what nobody has answered, except on a server that goes on without this application. */
  #giveUp = (upgrade: Upgrade): void => {
    const isLast = !this.#isClosing || this.#source === this.#fastify.server
    if (isLast && isFree(upgrade)) this.#answer(upgrade)
  }

  // --- Answers ---

  #answer (upgrade: Upgrade): void {
    const { request, transport, head } = upgrade
    // The client has gone, or the answer to an earlier request has closed the connection.
    if (!transport.writable) {
      guard(transport)
      return
    }
    const response = new UpgradeResponse(request, transport, head)
    if (!occupy(transport, response)) {
      guard(transport)
      onceVacant(transport, () => {
        unguard(transport)
        this.#answer(upgrade)
      })
      return
    }
    if (asksForWebSocket(request)) this.#dispatch(request, response)
    else this.#servePlainly(upgrade, response)
  }

  #dispatch (request: IncomingMessage, response: UpgradeResponse): void {
    const { maxHeadersCount } = this.#source
    // With `return503OnClosing: false` Fastify would run hooks, and nobody would wait for them.
    const problem = this.#isClosing ? new ClosingError() : findProblem(request, maxHeadersCount)
    if (problem !== null) {
      response.refuse(problem)
      return
    }
    // RFC 6455 section 4.2.1 asks for an `Upgrade` that contains "websocket", and RFC 9110
    // section 7.8 lets the server choose from the list. ws wants to see the choice alone.
    request.headers.upgrade = 'websocket'
    Object.assign(request, { [kUpgrade]: response })
    onRouting(request, this.#correctUrl)
    try {
      this.#fastify.routing(request, response)
    } catch (error) {
      // What the application has Fastify do before any hook, as its `rewriteUrl`, has thrown.
      this.#log(error)
      response.refuse(error)
    }
    // Most upgrades meet no hook that waits, and need nobody to look after their socket.
    if (response.hasSwitched) return
    response.open()
    this.undecided.add(response)
    response.once('close', () => { this.undecided.delete(response) })
  }

  /** A trailing slash more or less than the route has does not matter. */
  #correctUrl = (request: IncomingMessage & { originalUrl?: string }): void => {
    const { url = '/', originalUrl = url } = request
    const routeUrl = this.#knownPaths.resolve(url)
    if (routeUrl === null || routeUrl === url) return
    Object.assign(request, { url: routeUrl, originalUrl })
  }

  get #knownPaths (): WebsocketPaths {
    this.#paths ??= new WebsocketPaths(routesOf(this.#fastify), this.#fastify)
    return this.#paths
  }

  /**
   * Serves a request for a protocol that nobody here speaks as the plain HTTP that it also is, for
   * a server may ignore an `Upgrade` (RFC 9110 section 7.8).
   */
  #servePlainly ({ request, transport, head }: Upgrade, response: UpgradeResponse): void {
    try {
      const plainHead = createPlainHead(request, this.#source.maxHeadersCount)
      vacate(transport, response)
      transport.unshift(Buffer.concat([plainHead, head]))
    } catch (error) {
      response.refuse(error)
      return
    }
    // What may run is the keep-alive timeout of an earlier request.
    request.socket.setTimeout(0)
    emitConnection(this.#source, transport)
  }

  #refuse ({ request, transport, head }: Upgrade, error: unknown): void {
    const response = new UpgradeResponse(request, transport, head)
    if (!occupy(transport, response)) {
      transport.destroy()
      return
    }
    response.refuse(error)
  }

  #log (error: unknown): void {
    this.#fastify.log.error({ err: error }, 'websocket upgrade failed')
  }
}

const listeners = new WeakMap<UpgradeSource, UpgradeListener[]>()

function listenersOf (source: UpgradeSource): UpgradeListener[] {
  return listeners.get(source) ?? []
}

/**
 * The one listener for a server and a Fastify application, of which `fastify` is any instance.
 *
 * @throws FST_WS_HTTP2_UNSUPPORTED
 */
export function upgradeListenerOf (
  source: UpgradeSource, fastify: FastifyInstance
): UpgradeListener {
  if (!canUpgrade(source, fastify)) throw new Http2UnsupportedError()
  const known = listenersOf(source)
  const same = known.find((listener) => listener.serves(fastify))
  if (same !== undefined) return same
  const listener = new UpgradeListener(source, fastify)
  listeners.set(source, [...known, listener])
  return listener
}

/**
 * Whether a server speaks HTTP/1. Of one that the user made over TLS, nothing public tells: without
 * `allowHTTP1`, Node.js refuses its clients with a 403 that names the option.
 */
function canUpgrade (source: UpgradeSource, { initialConfig }: FastifyInstance): boolean {
  // What Node.js documents of HTTP/2 servers alone.
  if (!('updateSettings' in source)) return true
  const { http2, https } = initialConfig
  if (http2 !== true) return isSecure(source)
  return typeof https === 'object' && https.allowHTTP1 === true
}

/** Whether WebSocket is among the protocols that a request asks for. */
function asksForWebSocket ({ headers: { upgrade = '' } }: IncomingMessage): boolean {
  return upgrade.toLowerCase() === 'websocket' ||
    upgrade.split(',').some((protocol) => protocol.trim().toLowerCase() === 'websocket')
}

/** What makes a handshake one that no router should see, or null. */
function findProblem (
  { headers, httpVersion, method, rawHeaders }: IncomingMessage, maxHeadersCount: number | null
): Error | null {
  if (httpVersion !== '1.1') return new InvalidHandshakeError('HTTP/1.1 is required')
  // Among the missing could be one whose absence allows more than its value.
  if (mayMissHeaders(rawHeaders, maxHeadersCount)) return new HeadersTooLargeError()
  // Node.js checks plain requests alone, and keeps the first of several (RFC 9112 section 3.2).
  if (countHosts(rawHeaders) !== 1) return new InvalidHandshakeError('one Host header is required')
  // Bytes behind the head are frames; as a body, they would be a request that nobody parsed.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return new InvalidHandshakeError('a body is not allowed')
  }
  if (method !== 'GET') return new MethodNotAllowedError()
  return null
}

function countHosts (rawHeaders: readonly string[]): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
}
