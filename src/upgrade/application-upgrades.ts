/**
 * Takes the upgrades of a server into one Fastify application. Fastify's router dispatches the raw
 * request with a response that we made, so an upgrade runs all hooks like any request.
 *
 * `listener.ts` chooses the application of an upgrade. From here the way goes on through the hooks
 * to the handler of the route, which `routes/upgrade-or-plain.ts` has wrapped.
 */
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { ClosingError } from '../errors'
import { WebsocketPaths } from '../routes/paths'
import { emitConnection } from './http-server'
import { createPlainHead } from './other-protocol'
import { logError } from '../observe/log'
import { RawSocket } from '../handshake/raw-socket'
import { RefusalCounts } from '../observe/refusal-counts'
import { UpgradeAnswer } from '../handshake/upgrade-answer'
import { createRouted, onRouting, watchRouting } from './routed-url'
import { routesOf } from '../routes/registered-plugin'
import { Sessions } from './sessions'
import type { UpgradeTransport } from '../handshake/upgrade-transport'

/** A server which emits `upgrade`, or over HTTP/2 `connect`. */
export type UpgradeSource = Pick<
  Server,
  'prependListener' | 'once' | 'off' | 'listenerCount' | 'listeners' | 'emit' | 'maxHeadersCount' |
  'maxRequestsPerSocket'
>

/** Takes upgrades of a server into the router of one Fastify application. */
export class ApplicationUpgrades {
  /** Upgrades without an answer yet: hooks or checks of the application still run. */
  readonly undecided = new Set<UpgradeAnswer>()
  readonly refusals = new RefusalCounts()

  readonly #source: UpgradeSource
  readonly #fastify: FastifyInstance
  readonly #sessions = new Sessions()
  #paths: WebsocketPaths | null = null
  #isClosing = false
  /** The application closes, and the time that upgrades had to get an answer is over. */
  #isOver = false
  #timer: NodeJS.Timeout | undefined

  constructor (source: UpgradeSource, fastify: FastifyInstance) {
    this.#source = source
    this.#fastify = fastify
    watchRouting(fastify)
  }

  get isClosing (): boolean {
    return this.#isClosing
  }

  /** Whether the server is that of the application, which closes with it. */
  get ownsSource (): boolean {
    return this.#source === this.#fastify.server
  }

  /**
   * From now on new upgrades get a 503, and so do those that wait for an earlier answer on their
   * socket. Upgrades that have no answer after `timeout` milliseconds are cut off.
   */
  close (timeout: number): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#timer = setTimeout(() => {
      this.#isOver = true
      for (const answer of this.undecided) answer.abort()
      if (this.ownsSource) this.#sessions.destroy()
    }, timeout).unref()
  }

  /** Ends the sessions of HTTP/2 that carry upgrades, each with its last stream. */
  closeSessions (): void {
    if (this.ownsSource) this.#sessions.close()
  }

  /** Stops the timer, when the application has closed. */
  end (): void {
    clearTimeout(this.#timer)
  }

  /**
   * Whether a route of the application takes the upgrade. A route for HTTP only claims nothing,
   * because another listener may take upgrades of its path: Vite takes those of `/`, for example.
   */
  claims (request: IncomingMessage): boolean {
    const routed = createRouted(this.#fastify, request)
    this.#correctUrl(routed)
    return this.#knownPaths().claims(routed)
  }

  /** Answers an upgrade, after the answers to earlier requests on its socket. */
  answer (transport: UpgradeTransport): void {
    if (transport.session !== undefined) this.#sessions.add(transport.session)
    const answer = new UpgradeAnswer(transport, this.refusals)
    this.#proceed(transport, answer)
    // Most upgrades run no asynchronous hook, are settled now, and need no watch over their socket.
    if (answer.isSettled) return
    answer.watch()
    this.undecided.add(answer)
    answer.onceSettled(() => { this.undecided.delete(answer) })
    if (this.#isOver) answer.abort()
  }

  #proceed (transport: UpgradeTransport, answer: UpgradeAnswer): void {
    // The client has left, or the answer to an earlier request has closed the connection.
    if (!transport.socket.writable) answer.endSoon()
    else if (!answer.occupy()) answer.queue(() => { this.#proceed(transport, answer) })
    else if (transport.asksFor !== 'websocket' && transport instanceof RawSocket) {
      this.#servePlainly(transport, answer)
    } else this.#dispatch(transport, answer)
  }

  /** Answers an upgrade with an error, without the router. */
  refuse (transport: UpgradeTransport, error: unknown): void {
    this.#log(error)
    const answer = new UpgradeAnswer(transport, this.refusals)
    if (answer.occupy()) answer.refuse(error)
    else transport.abort()
  }

  #dispatch (transport: UpgradeTransport, answer: UpgradeAnswer): void {
    const { request } = transport
    const { maxHeadersCount } = this.#source
    // With `return503OnClosing: false`, Fastify would dispatch the upgrade while it closes, and
    // `close()` would not wait for the answer.
    const problem = this.#isClosing ? new ClosingError() : transport.admit(maxHeadersCount)
    if (problem !== null) {
      answer.refuse(problem)
      return
    }
    answer.attachTo(request)
    onRouting(request, this.#correctUrl)
    try {
      this.#fastify.routing(request, answer.raw)
    } catch (error) {
      // A function of the application that runs before all hooks, such as `rewriteUrl`, has thrown.
      this.#log(error)
      answer.refuse(error)
    }
  }

  /** Adds or removes a trailing slash where the websocket route is declared the other way. */
  #correctUrl = (request: IncomingMessage & { originalUrl?: string }): void => {
    const { url = '/', originalUrl = url } = request
    const routeUrl = this.#knownPaths().resolve(url)
    if (routeUrl === null || routeUrl === url) return
    Object.assign(request, { url: routeUrl, originalUrl })
  }

  #knownPaths (): WebsocketPaths {
    this.#paths ??= new WebsocketPaths(routesOf(this.#fastify), this.#fastify)
    return this.#paths
  }

  /**
   * Serves a request for another protocol than WebSocket as plain HTTP, because a server may ignore
   * an `Upgrade` header (RFC 9110 section 7.8). The head of the request, without the header, goes
   * back into the socket, and the socket to the HTTP server.
   */
  #servePlainly (transport: RawSocket, answer: UpgradeAnswer): void {
    const { request, socket } = transport
    try {
      const head = createPlainHead(request, this.#source)
      transport.vacate(answer.raw)
      answer.giveAway()
      socket.unshift(Buffer.concat([head, transport.takeEarly()]))
    } catch (error) {
      answer.refuse(error)
      return
    }
    // The keep-alive timeout of an earlier request may still run.
    request.socket.setTimeout(0)
    emitConnection(this.#source, socket)
    transport.release()
    // `RawSocket` has paused the socket.
    socket.resume()
  }

  #log (error: unknown): void {
    logError(this.#fastify.log, 'error', error, 'websocket upgrade failed')
  }
}
