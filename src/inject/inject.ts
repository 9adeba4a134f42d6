import type { FastifyInstance } from 'fastify'
import type { ClientRequest, IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { InjectRefusedError } from '../errors'
import { MemorySocket } from './memory-socket'
import { emitConnection, isSecure } from '../upgrade/http-server'
import type {
  InjectRefusal, InjectWebsocket, InjectWebsocketInit, InjectWebsocketOptions
} from '../types'

const LOOPBACK = '127.0.0.1'

/**
 * A client that keeps the messages it gets before anybody listens, all of them, for the first
 * `message` listener, who gets them on the next tick.
 */
class InjectedSocket extends WebSocket {
  #kept: unknown[][] = []

  constructor (...args: ConstructorParameters<typeof WebSocket>) {
    super(...args)
    this.on('newListener', (event) => {
      if (event === 'message') process.nextTick(() => { this.#deliver() })
    })
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

/** Makes the `injectWS` of an application whose upgrades `server` emits. */
export function createInject (fastify: FastifyInstance, server: Server): InjectWebsocket {
  return async (path = '/', init = {}, options = {}) => {
    await fastify.ready()
    return await connect(server, path, init, options)
  }
}

function connect (
  server: Server, path: string,
  { protocols, remoteAddress = LOOPBACK, headers, ...clientOptions }: InjectWebsocketInit,
  { onInit, onOpen }: InjectWebsocketOptions
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new InjectedSocket(urlOf(path), protocols, {
      ...clientOptions,
      // ws hands them to Node.js, which takes more than the types of ws say.
      headers: headers as Record<string, string>,
      // Node.js takes any Duplex; its types say Socket.
      createConnection: () => {
        const transport = connectInMemory(server, remoteAddress)
        // That of `net.connect` does it, too. ws ends it with the handshake.
        return transport.setTimeout(clientOptions.handshakeTimeout ?? 0) as Duplex as Socket
      }
    })
    const onRefused = (_request: ClientRequest, response: IncomingMessage): void => {
      readRefusal(response).then(reject, reject)
    }
    const onFailed = (error: unknown): void => {
      reject(error)
      // To cut off a client that is still connecting is an error to ws.
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

/** Calls what the test has given, at once. Rejects if that throws or rejects. */
async function tell (
  socket: WebSocket, callback: ((socket: WebSocket) => unknown) | undefined
): Promise<void> {
  await callback?.(socket)
}

function connectInMemory (server: Server, remoteAddress: string): MemorySocket {
  const [near, far] = MemorySocket.pair(remoteAddress, isSecure(server))
  // As on every socket that a server has accepted: servers of HTTP/2 look for themselves there.
  Object.assign(far, { server })
  emitConnection(server, far)
  return near
}

/** Nothing is encrypted in memory: the server is only told so. */
function urlOf (path: string): string {
  return `ws://localhost${path.startsWith('/') ? path : `/${path}`}`
}

/** @throws if the connection breaks before the end */
async function readRefusal (response: IncomingMessage): Promise<InjectRefusal> {
  const { statusCode = 0, headers, socket } = response
  response.setEncoding('utf8')
  const body = (await response.toArray()).join('')
  // The connection may be one that is kept alive.
  socket.destroy()
  return Object.assign(new InjectRefusedError(statusCode), { statusCode, headers, body })
}
