import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { ClientOptions } from 'ws'
import {
  createServer, type WebSocketStreamServer, type WebSocketStreamServerOptions
} from '../../src/stream/server'
import type { StreamSocket } from '../../src/stream/socket'
import type { SocketStream } from '../../src/stream/duplex'
import { kOutbox } from '../../src/stream/symbols'
import { connect, type Client } from './client'
import { RawClient, upgradeHead } from './raw'
import { createHttp, portOf, type Teardown } from './servers'
import { isHttp2, serveExtendedConnect } from './transports'

/** A stream server without Fastify, on a free port. */
export interface StreamServer {
  readonly server: WebSocketStreamServer
  readonly origin: string
  readonly port: number
}

/** Serves streams on a bare HTTP server, closed with the test. */
export async function serveStreams (
  t: Teardown, options: WebSocketStreamServerOptions = {}
): Promise<StreamServer> {
  const { server: http, origin } = await createHttp(t)
  const server = createServer({ ...options, server: http })
  if (isHttp2()) serveExtendedConnect(http, server)
  t.teardown(() => { for (const socket of server.clients) socket.terminate() })
  return { server, origin, port: portOf(http) }
}

/** The next stream that a server emits. */
export async function nextStream (server: WebSocketStreamServer): Promise<SocketStream> {
  const [stream] = await once(server, 'stream')
  return stream
}

/** Both ends of a connection, without Fastify: a stream that nobody reads yet, and its client. */
export interface Pair {
  readonly server: WebSocketStreamServer
  readonly stream: SocketStream
  /** The socket of the server's side; over HTTP/2, the Duplex that takes its place. */
  readonly transport: Socket
  readonly client: Client
}

export async function createPair (
  t: Teardown, options: WebSocketStreamServerOptions = {}, clientOptions: ClientOptions = {}
): Promise<Pair> {
  const { server, origin } = await serveStreams(t, options)
  const [stream, client] = await Promise.all([
    nextStream(server), connect(t, origin, { perMessageDeflate: false, ...clientOptions })
  ])
  const { transport } = stream.socket[kOutbox]
  // ws takes any Duplex, and so does the outbox.
  return { server, stream, transport: transport as Socket, client }
}

/** As {@link createPair}, with a client that speaks raw TCP and has sent `first` with the head. */
export async function createRawPair (
  t: Teardown, options: WebSocketStreamServerOptions = {}, first: Buffer = Buffer.alloc(0)
): Promise<{ server: WebSocketStreamServer, stream: SocketStream, client: RawClient }> {
  const { server, port } = await serveStreams(t, options)
  const client = new RawClient(t, port)
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), first]))
  const stream = await nextStream(server)
  await client.until('\r\n\r\n')
  return { server, stream, client }
}

/** Waits, turn by turn of the event loop, until `isTrue`. The timeout of the test is the clock. */
export async function until (isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn()
}

/** Lets the event loop turn once: what is due has happened. */
export function turn (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}

/** What a listener got, in order: `record(emitter, 'close')`. */
export function record (
  emitter: { on (event: string, listener: (...args: unknown[]) => void): unknown }, event: string
): unknown[][] {
  const calls: unknown[][] = []
  emitter.on(event, (...args) => { calls.push(args) })
  return calls
}

/** Sends `data` turn by turn until the connection is closing. How often. */
export async function flood (
  socket: StreamSocket, data: Buffer, callback?: (error?: Error) => void
): Promise<number> {
  let sent = 0
  while (socket.readyState === socket.OPEN) {
    socket.send(data, callback)
    sent++
    await turn()
  }
  return sent
}
