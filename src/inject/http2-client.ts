/**
 * The client's side of a WebSocket over HTTP/2, for a client that speaks HTTP/1, such as that of
 * ws. The head of its upgrade goes out as an extended CONNECT (RFC 8441), and the answer comes back
 * to it as that of HTTP/1.
 */
import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { connect } from 'node:http2'
import type {
  ClientHttp2Session, IncomingHttpHeaders, IncomingHttpStatusHeader, OutgoingHttpHeaders
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { Http2Duplex } from '../handshake/http2-duplex'
import { formatHead, isConnectionHeader, type HttpHead } from '../protocol/http-head'

const OK = 200

/** What a server puts behind the key, to show that it speaks WebSocket (RFC 6455 section 1.3). */
const SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** What answers the request of a client. */
type Answer = IncomingHttpHeaders & IncomingHttpStatusHeader

/** A connection for one WebSocket over HTTP/2: see the header of this file. */
export class Http2ClientSocket extends Http2Duplex {
  readonly #session: ClientHttp2Session
  readonly #scheme: string
  #key = ''
  #timer: NodeJS.Timeout | undefined

  /** @param session which has got the settings of the server */
  constructor (session: ClientHttp2Session, scheme: 'http' | 'https') {
    super()
    this.#session = session
    this.#scheme = scheme
    this.once('close', () => { clearTimeout(this.#timer) })
  }

  // The HTTP client of Node.js calls the methods of a `net.Socket`.

  setTimeout (timeout: number): this {
    clearTimeout(this.#timer)
    if (timeout > 0) this.#timer = setTimeout(() => { this.emit('timeout') }, timeout)
    return this
  }

  setNoDelay (): this {
    return this
  }

  setKeepAlive (): this {
    return this
  }

  protected override sendHead ({ start: [, path], headers }: HttpHead): void {
    const sent: OutgoingHttpHeaders = {
      ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': this.#scheme, ':path': path
    }
    for (const [name, value] of headers) {
      if (name === 'sec-websocket-key') this.#key = value
      else if (name === 'host') sent[':authority'] = value
      else if (!isConnectionHeader(name)) sent[name] = value
    }
    const stream = this.#session.request(sent)
    // The body of a refusal may arrive before this event, and is to be read after the head.
    this.mayRead = false
    stream.once('response', (answer) => {
      this.mayRead = true
      this.push(this.#translate(answer))
    })
    this.attach(stream)
  }

  #translate ({ ':status': status = 0, ...headers }: Answer): Buffer {
    if (status !== OK) {
      const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`
      return formatHead(start, { ...headers, connection: 'close' })
    }
    const accept = createHash('sha1').update(this.#key + SUFFIX).digest('base64')
    return formatHead('HTTP/1.1 101 Switching Protocols', {
      ...headers, upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': accept
    })
  }
}

/** Gets the socket of a connection, or the error that came instead. */
export type OnConnected = (error: Error | null, socket: Duplex) => void

/**
 * Begins a session of HTTP/2 on a transport, for one WebSocket. The session ends with it.
 *
 * @param onConnected gets the socket, in any case, and an error if the server has hung up
 */
export function connectOverHttp2 (
  transport: Duplex, scheme: 'http' | 'https',
  onConnected: (error: Error | null, socket: Http2ClientSocket) => void
): void {
  const session = connect(`${scheme}://localhost`, { createConnection: () => transport })
  const socket = new Http2ClientSocket(session, scheme)
  const onHungUp = (): void => { onConnected(new Error('socket hang up'), socket) }
  session.on('error', noop)
  session.once('close', onHungUp)
  session.once('remoteSettings', () => {
    session.off('close', onHungUp)
    socket.once('close', () => { session.close() })
    onConnected(null, socket)
  })
}

/** An `error` needs no answer here, because `close` follows. */
function noop (): void {}
