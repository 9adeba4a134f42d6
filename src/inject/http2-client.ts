/**
 * The client's side of a WebSocket over HTTP/2, for a client that speaks HTTP/1, such as that of
 * ws. The head of its upgrade goes out as an extended CONNECT (RFC 8441), and the answer comes back
 * to it as that of HTTP/1.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:http2'
import type {
  ClientHttp2Session, IncomingHttpHeaders, IncomingHttpStatusHeader, OutgoingHttpHeaders
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { Http2Duplex } from '../handshake/http2-duplex'
import { formatHead, isConnectionHeader, type HttpHead } from '../protocol/http-head'

const OK = 200

/** A server hashes this text with the key of the client (RFC 6455 section 1.3). */
const SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The headers of the answer to a client. */
type Answer = IncomingHttpHeaders & IncomingHttpStatusHeader

/** A connection for one WebSocket over HTTP/2: see the header of this file. */
export class Http2ClientSocket extends Http2Duplex {
  readonly #session: ClientHttp2Session
  readonly #scheme: string
  #key = ''
  #timer: NodeJS.Timeout | undefined

  constructor (session: ClientHttp2Session, scheme: 'http' | 'https') {
    super()
    this.#session = session
    this.#scheme = scheme
    const onSessionClose = (): void => { this.destroy() }
    session.once('close', onSessionClose)
    this.once('close', () => {
      clearTimeout(this.#timer)
      session.off('close', onSessionClose)
    })
  }

  override _write (chunk: Buffer, encoding: BufferEncoding, callback: () => void): void {
    this.#onceOffered(() => { super._write(chunk, encoding, callback) })
  }

  override _writev (chunks: Array<{ chunk: Buffer }>, callback: () => void): void {
    this.#onceOffered(() => { super._writev(chunks, callback) })
  }

  /** A client may ask only when it knows that the server takes WebSockets (RFC 8441 section 3). */
  #onceOffered (write: () => void): void {
    const { enableConnectProtocol } = this.#session.remoteSettings
    if (enableConnectProtocol === true) write()
    else this.#session.once('remoteSettings', write)
  }

  /** Like the method of a `net.Socket`; for the timeout of a handshake. */
  setTimeout (timeout: number): this {
    clearTimeout(this.#timer)
    if (timeout > 0) this.#timer = setTimeout(() => { this.emit('timeout') }, timeout)
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

  #translate ({ ':status': status, ...headers }: Answer): Buffer {
    if (status !== OK) {
      return formatHead(`HTTP/1.1 ${status} `, { ...headers, connection: 'close' })
    }
    const accept = createHash('sha1').update(this.#key + SUFFIX).digest('base64')
    return formatHead('HTTP/1.1 101 Switching Protocols', {
      ...headers, upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': accept
    })
  }
}

/** Begins a session of HTTP/2 on a transport, for one WebSocket. The session ends with it. */
export function connectOverHttp2 (
  transport: Duplex, scheme: 'http' | 'https'
): Http2ClientSocket {
  const session = connect(`${scheme}://localhost`, { createConnection: () => transport })
  const socket = new Http2ClientSocket(session, scheme)
  // An `error` needs no answer here, because `close` follows.
  session.on('error', () => {})
  socket.once('close', () => { session.close() })
  return socket
}
