/**
 * Takes the upgrades of a server into one Fastify application. The raw request is dispatched by
 * Fastify's router, with a response of ours, so that an upgrade runs the whole request lifecycle.
 */

import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { ClosingError } from '../errors'
import { WebsocketPaths } from '../routes/paths'
import { emitConnection } from './http-server'
import { createPlainHead } from './plain-request'
import { asksForWebSocket, findHeadProblem } from '../handshake/request-checks'
import { logError } from '../observe/log'
import { UpgradeAnswer } from '../handshake/upgrade-answer'
import { createRouted, onRouting, watchRouting } from './routed-url'
import { routesOf } from '../routes/websocket-route'
import type { UpgradeTransport } from '../handshake/transport'

/** What emits `upgrade`: an HTTP or HTTPS server. */
export type UpgradeSource = Pick<
  Server,
  'prependListener' | 'off' | 'listenerCount' | 'emit' | 'maxHeadersCount' | 'maxRequestsPerSocket'
>

/** Takes upgrades of a server into the router of one Fastify application. */
export class ApplicationUpgrades {
  /** Upgrades that hooks, or the application's checks, have not decided yet. */
  readonly undecided = new Set<UpgradeAnswer>()

  readonly #source: UpgradeSource
  readonly #fastify: FastifyInstance
  #paths: WebsocketPaths | null = null
  #isClosing = false
  /** The time that upgrades have while the application closes is over. */
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
   * New upgrades, and those that wait for an earlier answer, get a 503 from now on. Those that have
   * no answer after `timeout` milliseconds, because the earlier one does not end, are cut off.
   */
  close (timeout: number): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#timer = setTimeout(() => {
      this.#isOver = true
      for (const answer of this.undecided) answer.abort()
    }, timeout).unref()
  }

  /** The application has closed. */
  end (): void {
    clearTimeout(this.#timer)
  }

  /**
   * Whether a route of the application takes the upgrade. A route for HTTP alone claims nothing:
   * another listener may own upgrades of its path, as Vite does of `/`, which is the page as well.
   */
  claims (request: IncomingMessage): boolean {
    const routed = createRouted(this.#fastify, request)
    this.#correctUrl(routed)
    return this.#knownPaths.claims(routed)
  }

  /** Answers an upgrade, when the answers to earlier requests on its socket are out. */
  answer (transport: UpgradeTransport): void {
    const answer = new UpgradeAnswer(transport)
    this.#proceed(transport, answer)
    // Most upgrades meet no hook that waits, and need no watch over their socket.
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
    else if (asksForWebSocket(transport.request)) this.#dispatch(transport.request, answer)
    else this.#servePlainly(transport, answer)
  }

  /** Answers an upgrade with an error, past the router. */
  refuse (transport: UpgradeTransport, error: unknown): void {
    this.#log(error)
    const answer = new UpgradeAnswer(transport)
    if (answer.occupy()) answer.refuse(error)
    else transport.socket.destroy()
  }

  #dispatch (request: IncomingMessage, answer: UpgradeAnswer): void {
    const { maxHeadersCount } = this.#source
    // With `return503OnClosing: false` Fastify would run hooks, and `close()` would not wait.
    const problem = this.#isClosing ? new ClosingError() : findHeadProblem(request, maxHeadersCount)
    if (problem !== null) {
      answer.refuse(problem)
      return
    }
    // RFC 6455 section 4.2.1 asks for an `Upgrade` that contains "websocket", and RFC 9110
    // section 7.8 lets the server choose from the list. ws wants to see the choice alone.
    request.headers.upgrade = 'websocket'
    answer.attachTo(request)
    onRouting(request, this.#correctUrl)
    try {
      this.#fastify.routing(request, answer.raw)
    } catch (error) {
      // What the application has Fastify do before any hook, as its `rewriteUrl`, has thrown.
      this.#log(error)
      answer.refuse(error)
    }
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
   * Serves a request for a protocol that is not spoken here as the plain HTTP that it also is, for
   * a server may ignore an `Upgrade` (RFC 9110 section 7.8).
   */
  #servePlainly (transport: UpgradeTransport, answer: UpgradeAnswer): void {
    const { request, socket } = transport
    try {
      const head = createPlainHead(request, this.#source)
      answer.giveBack()
      socket.unshift(Buffer.concat([head, transport.takeEarly()]))
    } catch (error) {
      answer.refuse(error)
      return
    }
    // What may run is the keep-alive timeout of an earlier request.
    request.socket.setTimeout(0)
    emitConnection(this.#source, socket)
    transport.release()
    // What has watched the socket until now has paused it.
    socket.resume()
  }

  #log (error: unknown): void {
    logError(this.#fastify.log, 'error', error, 'websocket upgrade failed')
  }
}
