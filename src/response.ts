import {
  STATUS_CODES, ServerResponse, type IncomingMessage, type OutgoingHttpHeader
} from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyBaseLogger } from 'fastify'
import { RETRY_AFTER, UnexpectedSwitchError } from './errors'
import { handshakeLines } from './handshake-headers'
import { guard, unguard, vacate } from './transport'

/**
 * Bytes of frames that may arrive before the upgrade is decided; then the client
 * feels backpressure.
 */
const MAX_EARLY_BYTES = 64 * 1024

const SERVICE_UNAVAILABLE = 503

/** Milliseconds that a refused client has to read its answer and hang up. */
const LINGER_TIMEOUT = 2_000

/**
 * Performs the handshake of an accepted upgrade, `head` being what came behind the request.
 * Returns what runs once the response has finished.
 *
 * @throws what refuses the handshake after all; its `statusCode` is the status of the answer
 */
export type Handshake = (transport: Duplex, head: Buffer) => () => void

interface TransportListeners {
  readonly data: (chunk: Buffer) => void
  readonly drain: () => void
  readonly end: () => void
  readonly close: () => void
}

type ErrorLog = Pick<FastifyBaseLogger, 'info' | 'error'>

/**
 * The response to an upgrade request. Its 101 is the handshake that `accept` was given; with any
 * other status it is a plain HTTP response, and the socket is closed after it.
 */
export class UpgradeResponse extends ServerResponse {
  /** The application's own check of the client has passed. */
  isVerified = false
  /** The handshake is done, and the socket is no longer that of this response. */
  hasSwitched = false

  readonly #request: IncomingMessage
  readonly #transport: Duplex
  #early: Buffer[]
  #earlyBytes: number
  #handshake: Handshake | null = null
  #log: ErrorLog | null = null
  /** On the socket, while the decision takes its time. */
  #listeners: TransportListeners | null = null
  /** What `end` does instead, once a 101 has been written. */
  #switching: Handshake | null = null

  constructor (request: IncomingMessage, transport: Duplex, head: Buffer) {
    super(request)
    this.#request = request
    this.#transport = transport
    this.#early = [head]
    this.#earlyBytes = head.length
  }

  /** Looks after the socket, which it occupies already, while the decision takes its time. */
  open (): void {
    if (this.#listeners !== null) return
    const listeners = this.#createListeners()
    this.#listeners = listeners
    guard(this.#transport)
    for (const [event, listener] of Object.entries(listeners)) this.#transport.on(event, listener)
  }

  #createListeners (): TransportListeners {
    return {
      // Frames that come before the decision are kept for the handshake, and reading them is also
      // the only way to learn that the client has gone.
      data: (chunk) => { this.#keepEarly(chunk) },
      // Without it a body of more than the socket's buffer would stop there.
      drain: () => { this.emit('drain') },
      // As an HTTP server does: a client that has ended its side asks for nothing any more, but
      // gets what was written.
      end: () => { this.#transport.end() },
      close: () => {
        this.#release()
        // Fastify's `onRequestAbort` waits for it.
        this.#request.destroy()
      }
    }
  }

  #release (): void {
    if (this.#listeners === null) return
    for (const [event, listener] of Object.entries(this.#listeners)) {
      this.#transport.off(event, listener)
    }
    unguard(this.#transport)
    this.#listeners = null
  }

  #keepEarly (chunk: Buffer): void {
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#transport.pause()
  }

  /** From now on a 101 performs `handshake`. If that fails, it is logged and answered by HTTP. */
  accept (handshake: Handshake, log: ErrorLog): void {
    this.#handshake = handshake
    this.#log = log
  }

  /** Header lines that hooks and the application add to the 101. */
  get handshakeHeaders (): string[] {
    return handshakeLines(this.getHeaders())
  }

  override writeHead (statusCode: number, ...reasonAndHeaders: unknown[]): this {
    const [reason] = reasonAndHeaders
    try {
      this.#setHeaders(reasonAndHeaders.at(-1))
      if (statusCode === 101 && this.#handshake === null) throw new UnexpectedSwitchError()
    } catch (error) {
      if (statusCode !== 101) throw error
      // Thrown out of here, it could end as an uncaught exception when a hook was asynchronous.
      this.refuse(error)
      return this
    }
    if (typeof reason === 'string') this.statusMessage = reason
    if (statusCode !== 101) return this.#writeRefusal(statusCode)
    this.statusCode = statusCode
    this.#switching = this.#handshake
    return this
  }

  override end (...args: unknown[]): this {
    if (this.#switching !== null) this.#switch(this.#switching)
    else Reflect.apply(super.end, this, args)
    return this
  }

  #setHeaders (headers: unknown): void {
    if (typeof headers !== 'object' || headers === null) return
    for (const [name, value] of headerEntries(headers)) this.setHeader(name, value)
  }

  /** As in Fastify, headers of an error that cannot be sent do not change its answer. */
  #setErrorHeaders (headers: unknown): void {
    try {
      this.#setHeaders(headers)
    } catch {
      // Nobody is left who could be told: this is the answer to an error.
    }
  }

  #writeRefusal (statusCode: number): this {
    // Also to write can fail.
    this.open()
    this.once('finish', this.#closeTransport)
    this.setHeader('connection', 'close')
    // Fastify's own answer while it closes says nothing of when to come again.
    if (statusCode === SERVICE_UNAVAILABLE && !this.hasHeader('retry-after')) {
      this.setHeader('retry-after', RETRY_AFTER)
    }
    return super.writeHead(statusCode)
  }

  /** Answers with an error in the shape of Fastify, past the router. */
  refuse (error: unknown): void {
    const { statusCode, code, message, headers } = describe(error)
    // As Fastify does: what a client did wrong is no failure of the application.
    const level = statusCode < 500 ? 'info' : 'error'
    this.#log?.[level]({ err: error }, 'websocket handshake failed')
    const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message })
    for (const name of this.getHeaderNames()) this.removeHeader(name)
    this.#setErrorHeaders(headers)
    this.setHeader('content-type', 'application/json; charset=utf-8')
    this.setHeader('content-length', Buffer.byteLength(body))
    this.#writeRefusal(statusCode)
    super.end(body)
  }

  #switch (handshake: Handshake): void {
    this.#switching = null
    const wasOpen = this.#listeners !== null
    this.#release()
    if (wasOpen) this.#transport.pause()
    const start = this.#shakeHands(handshake)
    if (start === null) return
    vacate(this.#transport, this)
    // Through the raw request, which handlers get, they would keep Fastify's request alive.
    this.#handshake = null
    this.#log = null
    this.hasSwitched = true
    // Nothing is written through this response, so it cannot notice by itself that it is finished.
    this.finished = true
    this.emit('finish')
    process.nextTick(emitClose, this)
    // Before the handler runs, which may pause it. Nothing is read before the next tick.
    if (wasOpen) this.#transport.resume()
    start()
  }

  #shakeHands (handshake: Handshake): (() => void) | null {
    try {
      const [head] = this.#early
      const isAll = head !== undefined && this.#early.length === 1
      return handshake(this.#transport, isAll ? head : Buffer.concat(this.#early))
    } catch (error) {
      this.refuse(error)
      return null
    }
  }

  // To close a socket that has unread data resets the connection, and the answer could be lost. So
  // what the client still sends is read and thrown away until it hangs up, for a while.
  #closeTransport (): void {
    const transport = this.#transport
    this.#release()
    vacate(transport, this)
    guard(transport)
    const timer = setTimeout(() => { transport.destroy() }, LINGER_TIMEOUT).unref()
    transport.once('close', () => { clearTimeout(timer) })
    transport.end()
    transport.resume()
    process.nextTick(emitClose, this)
  }

  /** Cuts the client off. */
  abort (): void {
    this.#transport.destroy()
  }
}

/** Names and values of what `writeHead` takes: an object, or a list of names and values. */
function headerEntries (headers: object): Array<[name: string, value: OutgoingHttpHeader]> {
  if (!Array.isArray(headers)) return Object.entries(headers)
  const grouped: Record<string, string[]> = {}
  for (let i = 0; i < headers.length; i += 2) {
    const values = grouped[headers[i]] ??= []
    values.push(headers[i + 1])
  }
  return Object.entries(grouped)
}

/** As for any response, `close` follows `finish`. */
function emitClose (response: UpgradeResponse): void {
  response.emit('close')
}

/** What Fastify would answer for an error. */
interface ErrorAnswer {
  readonly statusCode: number
  readonly code: string | undefined
  readonly message: string
  readonly headers: unknown
}

function describe (thrown: unknown): ErrorAnswer {
  const error: Error & { statusCode?: unknown, code?: unknown, headers?: unknown } =
    thrown instanceof Error ? thrown : new Error(String(thrown))
  const { code, message, headers } = error
  const statusCode = Number(error.statusCode)
  return {
    statusCode: statusCode >= 400 && statusCode < 600 ? statusCode : 500,
    code: typeof code === 'string' ? code : undefined,
    message,
    headers
  }
}
