/**
 * `fastify.websocketServer`, and the servers for routes with limits of their own. ws takes limits
 * for a whole server, so each set of limits needs a server of its own. To users they look like one.
 */
import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { RefusalCounts } from '../observe/refusal-counts'
import type { WebsocketStats } from '../observe/stats'
import { toError } from '../observe/thrown'
import type { ConnectionOwner } from '../stream/owner'
import {
  WebSocketStreamServer, type UpgradeCallback, type WebSocketStreamServerOptions
} from '../stream/server'
import { StreamSocket } from '../stream/socket'
import { asString, type ReadText } from '../stream/text'
import { SocketStream } from '../stream/duplex'
import type { Listener } from '../stream/listeners'
import { nextTick } from '../stream/next-tick'
import { kInbox, kOwner } from '../stream/symbols'
import { askOnce, askThere } from './negotiate'
import { upgradeOf } from './upgrade-of'

const CAPTURE_REJECTIONS = { captureRejections: true }

const NO_SOCKETS: ReadonlySet<StreamSocket> = new Set()

/** The limits that ws takes for a whole server. */
export type ServerLimits = Pick<WebSocketStreamServerOptions, 'maxPayload' | 'maxBackpressure'>

/**
 * `fastify.websocketServer`. It does not listen: upgrades reach it through Fastify's router, or
 * through its `handleUpgrade` when an application calls that.
 */
export class RouteServer extends WebSocketStreamServer {
  /** All open connections, also with `clientTracking: false`. */
  readonly sockets: Set<StreamSocket>

  /** The counts of refusals: those of the application, once the server belongs to one. */
  refusals = new RefusalCounts()

  readonly #options: WebSocketStreamServerOptions
  readonly #source: Server | null
  /** Makes the connections with the limits of this server. */
  readonly #own: LimitedServer
  /** Make the connections with other limits. */
  readonly #limited = new Map<string, LimitedServer>()
  #isClosing = false
  #hasClosed = false

  /**
   * @param source the HTTP server whose upgrades are taken, null with the option `noServer`
   * @param readText how `message` listeners get text
   */
  constructor (
    options: WebSocketStreamServerOptions, source: Server | null, readText: ReadText = asString
  ) {
    const clients = new Set<StreamSocket>()
    super(options, undefined, { readText, clients })
    // The constructor is called again only to set this option. The listeners of ws stay.
    EventEmitter.call(this, CAPTURE_REJECTIONS)
    this.#options = options
    this.#source = source
    askOnce(this.options)
    this.sockets = clients
    if (this.options.clientTracking === true) this.clients = clients
    this.on('headers', (lines, request) => {
      lines.push(...upgradeOf(request)?.handshakeHeaders ?? [])
    })
    this.#own = new LimitedServer(this, options)
  }

  override on (event: string | symbol, listener: Listener): this {
    return addListener(this, event, () => super.on(event, listener))
  }

  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override prependListener (event: string | symbol, listener: Listener): this {
    return addListener(this, event, () => super.prependListener(event, listener))
  }

  /** The address of the HTTP server, null until it listens. Throws with the option `noServer`. */
  override address (): AddressInfo | string | null {
    return this.#source === null ? super.address() : this.#source.address()
  }

  /** The numbers of now: a new object, which does not change. */
  stats (): WebsocketStats {
    const { counts, traffic, topics } = this.streamSettings
    const { accepted, closed, unresponsive, tooSlow } = counts
    const { published, skipped, subscriptions, gaps } = topics.counts
    let messagesWaiting = 0
    for (const { [kInbox]: inbox } of this.sockets) messagesWaiting += inbox?.waitingMessages ?? 0
    return {
      open: this.sockets.size,
      accepted,
      refused: this.refusals.list,
      closed,
      unresponsive,
      tooSlow,
      ...traffic.numbers,
      messagesWaiting,
      published,
      skipped,
      subscriptions,
      gaps
    }
  }

  /** The server for connections with these limits: this one, if it has the same limits. */
  limitedTo ({ maxPayload, maxBackpressure }: ServerLimits): WebSocketStreamServer {
    const { maxPayload: ownPayload, maxBackpressure: ownBackpressure } = this.#options
    if (maxPayload === ownPayload && maxBackpressure === ownBackpressure) return this
    const key = `${maxPayload}/${maxBackpressure}`
    const known = this.#limited.get(key)
    if (known !== undefined) return known
    const server = new LimitedServer(this, { ...this.#options, maxPayload, maxBackpressure })
    if (this.#isClosing) server.close()
    this.#limited.set(key, server)
    return server
  }

  override handleUpgrade (
    request: IncomingMessage, transport: Duplex, head: Buffer, callback: UpgradeCallback
  ): void {
    // The application may have changed or replaced them.
    this.#own.options = this.options
    this.#own.handleUpgrade(request, transport, head, callback)
  }

  override close (callback?: (error?: Error) => void): void {
    if (this.#hasClosed) {
      // The plugin closes the server when Fastify begins to close. Then ws would call back at its
      // next `close` event, and there is none.
      if (callback !== undefined) nextTick(callback)
      return
    }
    if (callback !== undefined) this.once('close', callback)
    if (this.#isClosing) return
    this.#isClosing = true
    for (const server of [this.#own, ...this.#limited.values()]) server.close()
    // As in ws, `close` comes when the last connection has left, if the connections are tracked.
    const open = this.options.clientTracking === true ? this.sockets : NO_SOCKETS
    const closeWhenEmpty = (): void => { if (open.size === 0) super.close() }
    closeWhenEmpty()
    for (const socket of open) StreamSocket.whenClosed(socket, closeWhenEmpty)
  }

  /** An asynchronous listener of the application has rejected: fails the connection it got. */
  override [EventEmitter.captureRejectionSymbol] (
    error: Error, _event: string | symbol, ...[connection]: unknown[]
  ): void {
    const owner = ownerOf(connection)
    if (owner === null) process.emitWarning(toError(error))
    else owner.report(error)
  }

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    this.#hasClosed ||= event === 'close'
    return super.emit(event, ...args)
  }
}

/**
 * Each connection may have its own listener of `gap`. So many of them are no leak, and Node.js must
 * not warn of one. It asks for the limit when a listener is added.
 */
function addListener<T extends EventEmitter> (server: T, event: string | symbol, add: () => T): T {
  if (event !== 'gap') return add()
  const limit = server.getMaxListeners()
  server.setMaxListeners(0)
  add()
  return server.setMaxListeners(limit)
}

/**
 * Makes the connections of a RouteServer that have one set of limits, and gives it their events.
 *
 * ws keeps a callback for each connection that it tracks. This server tracks none: the settings of
 * its connections have the set of the RouteServer, and each connection leaves it at its end.
 */
class LimitedServer extends WebSocketStreamServer {
  readonly #server: RouteServer

  constructor (server: RouteServer, options: WebSocketStreamServerOptions) {
    super({ ...options, clientTracking: false }, undefined, server.streamSettings)
    this.#server = server
    askThere(this.options, server.options)
  }

  override shouldHandle (request: IncomingMessage): boolean | Promise<boolean> {
    return this.#server.shouldHandle(request)
  }

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    // The RouteServer emits a `close` of its own.
    return event !== 'close' && this.#server.emit(event, ...args)
  }

  override listenerCount (event: string | symbol): number {
    return this.#server.listenerCount(event)
  }
}

/** The owner of a connection that a listener of `connection` or `stream` has got, or null. */
function ownerOf (connection: unknown): ConnectionOwner | null {
  const socket = connection instanceof SocketStream ? connection.socket : connection
  return socket instanceof StreamSocket ? socket[kOwner] : null
}
