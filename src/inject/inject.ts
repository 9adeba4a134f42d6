/**
 * `fastify.injectWS`: a client of ws that is connected to the application in memory, for tests. The
 * client and the HTTP server each get one end of a `MemorySocket` pair, so both sides run the real
 * code of Node.js and ws, and no port is opened.
 */
import type { FastifyInstance } from 'fastify'
import type { ClientRequest, IncomingMessage, Server } from 'node:http'
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { InjectRefusedError } from '../errors'
import type { Listener } from '../stream/listeners'
import { nextTick } from '../stream/next-tick'
import { MemorySocket } from './memory-socket'
import { rootOf } from '../routes/registry'
import { connectOverHttp2, type Http2ClientSocket } from './http2-client'
import { emitConnection, isHttp2, isHttp2Wanted, isSecure } from '../upgrade/http-server'
import type {
  InjectRefusal, InjectWebsocket, InjectWebsocketInit, InjectWebsocketOptions
} from '../types'

const LOOPBACK = '127.0.0.1'

/**
 * A client that keeps all messages that arrive before there is a `message` listener. The first
 * listener gets them on the next tick.
 */
class InjectedSocket extends WebSocket {
  #kept: unknown[][] = []

  // A listener for `newListener` would need less code, but `removeAllListeners` would remove it.
  // `once` and `addEventListener` call `on`.
  override on (event: string | symbol, listener: Listener): this {
    super.on(event, listener)
    this.#onListener(event)
    return this
  }

  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override prependListener (event: string | symbol, listener: Listener): this {
    super.prependListener(event, listener)
    this.#onListener(event)
    return this
  }

  #onListener (event: string | symbol): void {
    if (event === 'message') nextTick(() => { this.#deliver() })
  }

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    const isHeard = this.#kept.length === 0 && this.listenerCount('message') > 0
    if (event !== 'message' || isHeard) return super.emit(event, ...args)
    this.#kept.push(args)
    return true
  }

  #deliver (): void {
    while (this.listenerCount('message') > 0) {
      const args = this.#kept.shift()
      if (args === undefined) return
      super.emit('message', ...args)
    }
  }
}

/**
 * Makes the `injectWS` of an application whose upgrades `server` emits. Its clients connect over
 * HTTP/2 if the server offers that, because a server of HTTP/2 need not speak HTTP/1.
 */
export function createInject (
  fastify: FastifyInstance, server: Server, extendedConnect: boolean | undefined
): InjectWebsocket {
  return async (path = '/', init = {}, options = {}) => {
    // Not `fastify.ready()`: after the start, it fails for an instance below the root.
    await rootOf(fastify).ready()
    const createTransport = () => {
      const isOverHttp2 = isHttp2(server) && isHttp2Wanted(server, fastify, extendedConnect)
      return isOverHttp2 ? connectHttp2InMemory(server, init) : connectInMemory(server, init)
    }
    return await connect(createTransport, path, init, options)
  }
}

function connect (
  createTransport: () => MemorySocket | Http2ClientSocket, path: string,
  { protocols, remoteAddress, headers, ...clientOptions }: InjectWebsocketInit,
  { onInit, onOpen }: InjectWebsocketOptions
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new InjectedSocket(urlOf(path), protocols, {
      ...clientOptions,
      // ws passes the headers on to Node.js, which takes more kinds of values than ws's types say.
      headers: headers as Record<string, string>,
      // Node.js takes any Duplex as the connection. Its types demand a Socket.
      createConnection: () => {
        const transport = createTransport()
        // `net.connect` does the same, so ws expects it, and ends the timeout after the handshake.
        return transport.setTimeout(clientOptions.handshakeTimeout ?? 0) as Duplex as Socket
      }
    })
    const onRefused = (_request: ClientRequest, response: IncomingMessage): void => {
      readRefusal(response).then(reject, reject)
    }
    const onFailed = (error: unknown): void => {
      reject(error)
      // ws emits an error when a client is terminated that is still connecting.
      socket.on('error', () => {})
      socket.terminate()
    }
    socket.once('error', reject)
    socket.once('unexpected-response', onRefused)
    socket.once('open', () => {
      socket.off('unexpected-response', onRefused)
      tell(socket, onOpen).then(() => {
        socket.off('error', reject)
        resolve(socket)
      }, onFailed)
    })
    tell(socket, onInit).catch(onFailed)
  })
}

/** Calls `onInit` or `onOpen` of the test synchronously. Rejects if that throws or rejects. */
async function tell (
  socket: WebSocket, callback: ((socket: WebSocket) => unknown) | undefined
): Promise<void> {
  await callback?.(socket)
}

function connectHttp2InMemory (server: Server, init: InjectWebsocketInit): Http2ClientSocket {
  server.once('session', (session: Http2Session) => { introduce(session, server, init) })
  const transport = connectInMemory(server, init, { alpnProtocol: 'h2' })
  return connectOverHttp2(transport, isSecure(server) ? 'https' : 'http')
}

/**
 * Gives a session of HTTP/2 the address of its client, and whether it is secure. Node.js wraps a
 * socket in memory into a socket of its own, which has only the bytes.
 */
function introduce (
  { socket }: Http2Session, server: Server, { remoteAddress = LOOPBACK }: InjectWebsocketInit
): void {
  const family = remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
  // An exception from public API: a socket of Node.js takes its address from this property.
  Object.assign(socket, { _peername: { address: remoteAddress, family, port: 0 } })
  if (isSecure(server)) Object.assign(socket, { encrypted: true })
}

function connectInMemory (
  server: Server, { remoteAddress = LOOPBACK }: InjectWebsocketInit, properties = {}
): MemorySocket {
  const [near, far] = MemorySocket.pair(remoteAddress, isSecure(server))
  // Every accepted socket has this property. HTTP/2 servers of Node.js read it.
  Object.assign(far, { server, ...properties })
  emitConnection(server, far)
  return near
}

/** The URL for ws. It is never `wss:`, because nothing is encrypted in memory. */
function urlOf (path: string): string {
  return `ws://localhost${path.startsWith('/') ? path : `/${path}`}`
}

/**
 * Reads the whole answer of a refusal.
 *
 * @throws if the connection breaks before the end
 */
async function readRefusal (response: IncomingMessage): Promise<InjectRefusal> {
  const { statusCode = 0, headers, socket } = response
  response.setEncoding('utf8')
  const body = (await response.toArray()).join('')
  // The server may keep the connection alive for more requests, which will not come.
  socket.destroy()
  return Object.assign(new InjectRefusedError(statusCode), { statusCode, headers, body })
}
