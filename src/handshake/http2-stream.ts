/**
 * An upgrade over HTTP/2: an extended CONNECT (RFC 8441), whose stream carries the frames.
 *
 * | owner         | when                                           | reads                      |
 * |---------------|------------------------------------------------|----------------------------|
 * | none          | another listener of the server may still begin | nothing                    |
 * | UpgradeAnswer | hooks run, or a refusal is written             | nothing: the window of the |
 * |               |                                                | stream bounds early frames |
 * | ws            | the handshake is done                          | ws, by `ServerDuplex`      |
 *
 * The streams of a session are independent, so no earlier response is ever in the way. A stream is
 * closed when the refusal on it has left.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type {
  Http2ServerRequest, Http2ServerResponse, OutgoingHttpHeaders, ServerHttp2Stream
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { InvalidHandshakeError } from '../errors'
import { isConnectionHeader, type HttpHead } from '../protocol/http-head'
import { OK, SWITCHING } from './answer-state'
import { cutOff, Http2Duplex } from './http2-duplex'
import { adaptPair, endOfStream, mute, writeHeadOfStream } from './http2-response'
import { onNextTurn } from '../stream/next-turn'
import { checkVersion, type AskedProtocol } from './request-checks'
import { closeSoon, type ResponseOwner } from './response'
import type { TransportWatcher, UpgradeSession, UpgradeTransport } from './upgrade-transport'

/** The first status that accepts no CONNECT. */
const REDIRECT = 300

/** Any valid key. HTTP/2 has none, and ws demands one. */
const KEY = Buffer.alloc(16).toString('base64')

const NOTHING = Buffer.alloc(0)

/** The Duplex that ws gets: the head of the 101 that ws writes goes out as a 200. */
class ServerDuplex extends Http2Duplex {
  readonly #carrier: ServerHttp2Stream

  constructor (stream: ServerHttp2Stream) {
    super()
    this.#carrier = stream
    this.attach(stream)
  }

  protected override sendHead ({ start, headers }: HttpHead): void {
    const status = Number(start[1])
    const sent: OutgoingHttpHeaders = { ':status': status === SWITCHING ? OK : status }
    for (const [name, value] of headers) {
      if (isConnectionHeader(name) || name === 'sec-websocket-accept') continue
      const present = sent[name]
      sent[name] = present === undefined ? value : [present, value].flat().map(String)
    }
    this.#carrier.respond(sent)
  }

  /**
   * Nothing can be written any more. After a reset without an error, Node.js would still keep the
   * stream until all is read and written, which may be never. What arrived before the reset is read
   * in this turn.
   */
  override followReset (): void {
    onNextTurn(destroyDuplex, this)
  }

  /**
   * The peer may leave its side open, as Firefox does after the closing handshake. So the stream is
   * closed, but only after its `finish`: if a stream is destroyed between its `close` and its
   * `finish`, Node.js 20 sends empty frames for ever.
   */
  protected override onEnd (): void {
    onNextTurn(closeStream, this.#carrier)
  }
}

/** An upgrade over HTTP/2: see the header of this file. */
export class StreamUpgrade implements UpgradeTransport {
  readonly asksFor: AskedProtocol = 'websocket'
  readonly session: UpgradeSession | undefined
  /** Never called: a stream is never occupied. */
  readonly onceVacant = noop

  readonly #request: Http2ServerRequest
  readonly #response: Http2ServerResponse
  readonly #stream: ServerHttp2Stream
  #duplex: ServerDuplex | null = null
  #onClose: (() => void) | null = null

  constructor (request: Http2ServerRequest, response: Http2ServerResponse) {
    const { stream } = response
    this.#request = request
    this.#response = response
    this.#stream = stream
    this.session = stream.session
  }

  get request (): IncomingMessage {
    // Fastify's types, like ours, name the class of HTTP/1 for requests of both versions.
    return this.#request as unknown as IncomingMessage
  }

  get socket (): Duplex {
    return this.#duplex ?? this.#stream
  }

  // --- Shared with other listeners of the server ---

  /** Nothing to note: an untouched stream shows by itself when another listener takes it. */
  beginSharing (): void {
    noop()
  }

  get isTaken (): boolean {
    const { destroyed, headersSent, readableFlowing, writable } = this.#stream
    return destroyed || headersSent || readableFlowing !== null || !writable
  }

  // --- The request ---

  admit (): Error | null {
    const { headers } = this.#request
    const { ':authority': authority, host = authority } = headers
    // Names of hosts are the same in upper and in lower case (RFC 9110 section 4.2.3).
    if (host?.toLowerCase() !== authority?.toLowerCase()) {
      return new InvalidHandshakeError('Host and :authority differ')
    }
    if (this.#stream.endAfterHeaders || Number(headers['content-length'] ?? 0) !== 0) {
      return new InvalidHandshakeError('a body is not allowed')
    }
    return null
  }

  checkHandshake (): void {
    checkVersion(this.request)
  }

  // --- The response ---

  createResponse (owner: ResponseOwner): ServerResponse {
    adaptPair(this.#request, this.#response, owner)
    // The types name the class of HTTP/1, as they do for the request.
    return this.#response as unknown as ServerResponse
  }

  occupy (): boolean {
    return true
  }

  /** Each status of success accepts a CONNECT (RFC 9110 section 9.3.6). */
  isAcceptance (statusCode: number): boolean {
    return statusCode >= OK && statusCode < REDIRECT
  }

  writeHead (_response: ServerResponse, statusCode: number): boolean {
    const stream = this.#stream
    if (stream.closed) {
      // It takes no head, and Node.js may keep it until it is read.
      cutOff(stream)
      return false
    }
    writeHeadOfStream(this.#response, statusCode)
    // If a hook has read the stream, or the status forbids a body, Node.js does not close it. Where
    // there may be a body, Node.js asks for trailers behind it, and sends the end then.
    stream.once(stream.writableEnded ? 'finish' : 'wantTrailers', closeNext)
    return true
  }

  end (_response: ServerResponse, args: unknown[]): void {
    endOfStream(this.#response, args)
  }

  // --- Until the decision ---

  watch ({ onClose }: TransportWatcher): void {
    if (this.#onClose !== null) return
    this.#onClose = onClose
    this.#stream.once('close', onClose).once('aborted', onReset)
  }

  unwatch (): void {
    if (this.#onClose !== null) this.#stream.off('close', this.#onClose).off('aborted', onReset)
    this.#onClose = null
  }

  // --- Ends ---

  shakeHands<Result> (perform: (socket: Duplex, head: Buffer) => Result): Result {
    const { headers } = this.#request
    const stream = this.#stream
    // A hook may have corked the response, and a corked stream would hold the handshake back.
    while (stream.writableCorked > 0) stream.uncork()
    const duplex = new ServerDuplex(stream)
    // ws refuses a request without these two headers.
    Object.assign(headers, { upgrade: 'websocket', 'sec-websocket-key': KEY })
    let result: Result
    try {
      result = perform(duplex, NOTHING)
    } finally {
      delete headers.upgrade
      delete headers['sec-websocket-key']
    }
    // Before `#duplex` is set, because the refusal is written to the stream itself.
    if (duplex.headError !== null) throw duplex.headError
    this.unwatch()
    this.#duplex = duplex
    return result
  }

  handOver (response: ServerResponse): void {
    mute(this.#request, this.#response)
    closeSoon(response)
  }

  /** Nothing to do: Node.js itself tells the response when the stream closes. */
  finishRefusal (): void {}

  endSoon (): void {
    this.unwatch()
    cutOff(this.#stream)
  }

  /** Nothing to do: Node.js itself tells the request when the stream closes. */
  endRequest (): void {}

  abort (): void {
    cutOff(this.#stream)
  }
}

/**
 * Called in a turn of its own. While Node.js reads what the peer has sent, a reset without an error
 * leaves at once, and Node.js 20 frees the memory of the stream twice.
 */
function closeStream (stream: ServerHttp2Stream): void {
  stream.close()
}

/** The end of a refusal leaves in this turn. */
function closeNext (this: ServerHttp2Stream): void {
  onNextTurn(closeStream, this)
}

/** The client has left. Node.js may keep the stream until it is read. */
function onReset (this: ServerHttp2Stream): void {
  cutOff(this)
}

function destroyDuplex (duplex: ServerDuplex): void {
  duplex.destroy()
}

function noop (): void {}
