/**
 * The transports below a WebSocket: versions of HTTP, with and without TLS. Most tests use plain
 * HTTP/1. The files in `test/transports/` run suites of other files over each of the others: they
 * call `useTransport` before they import a suite.
 */
import { connect as connectHttp2, createSecureServer, createServer } from 'node:http2'
import {
  createServer as createHttpServer, type IncomingMessage, type Server
} from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { FastifyServerOptions } from 'fastify'
import { StreamUpgrade } from '../../src/handshake/http2-stream'
import { Http2ClientSocket } from '../../src/inject/http2-client'
import type { WebSocketStreamServer } from '../../src/stream/server'
import { CERTIFICATE } from './tls'

const BOTH = { ...CERTIFICATE, allowHTTP1: true, settings: { enableConnectProtocol: true } }

/** A version of HTTP on a kind of server. */
interface Transport {
  /** What an instance of Fastify is created with. */
  readonly options: object
  /** A server without Fastify. */
  readonly createServer: () => Server
  readonly connect: (port: number) => Socket
}

const HOST = '127.0.0.1'

/** Bytes that may be on their way to a client of HTTP/2. Browsers allow some more. */
const WINDOW = 1024 * 1024

function overTls (port: number): Socket {
  return connectTls({ port, host: HOST, ca: CERTIFICATE.cert, ALPNProtocols: ['http/1.1'] })
}

function overHttp2 (scheme: 'http' | 'https') {
  return (port: number): Socket => {
    const session = connectHttp2(`${scheme}://${HOST}:${port}`, {
      ca: CERTIFICATE.cert, settings: { initialWindowSize: WINDOW }
    })
    session.on('error', () => {})
    session.once('connect', () => { session.setLocalWindowSize(WINDOW) })
    const socket = new Http2ClientSocket(session, scheme)
    socket.once('close', () => { session.close() })
    // What tests use of a socket is there.
    return socket as unknown as Socket
  }
}

/** The type of a server of HTTP/2 lacks what that of HTTP/1 has; what tests do with it is there. */
const asServer = (server: unknown): Server => server as Server

/** Only for a server with a listener for requests, Node.js emits `connect`. */
function unanswered (): void {}

export const TRANSPORTS = {
  http: {
    options: {},
    createServer: createHttpServer,
    connect: (port) => connectTcp(port, HOST)
  },
  https: {
    options: { https: CERTIFICATE },
    createServer: () => createHttpsServer(CERTIFICATE),
    connect: overTls
  },
  'HTTP/1 beside HTTP/2': {
    options: { http2: true, https: BOTH },
    createServer: () => asServer(createSecureServer(BOTH, unanswered)),
    connect: overTls
  },
  'HTTP/2 beside HTTP/1': {
    options: { http2: true, https: BOTH },
    createServer: () => asServer(createSecureServer(BOTH, unanswered)),
    connect: overHttp2('https')
  },
  h2: {
    options: { http2: true, https: CERTIFICATE },
    createServer: () => asServer(createSecureServer({
      ...CERTIFICATE, settings: { enableConnectProtocol: true }
    }, unanswered)),
    connect: overHttp2('https')
  },
  h2c: {
    options: { http2: true },
    createServer: () => asServer(createServer({
      settings: { enableConnectProtocol: true }
    }, unanswered)),
    connect: overHttp2('http')
  }
} satisfies Record<string, Transport>

export type TransportName = keyof typeof TRANSPORTS

let current: TransportName = 'http'

/** The transports of the servers that tests have started, by their ports. */
const known = new Map<number, TransportName>()

/** Has all servers that begin to listen from now on use a transport. */
export function useTransport (name: TransportName): void {
  current = name
}

/** Whether the suites run over the transport of most tests, and not over one of the others. */
export function isUsual (): boolean {
  return current === 'http'
}

/** Whether the suites of a test run over HTTP/2. */
export function isHttp2 (): boolean {
  return current.startsWith('h2') || current.startsWith('HTTP/2')
}

/** Options of Fastify for the transport, unless a test has chosen one itself. */
export function withTransport (options: FastifyServerOptions): FastifyServerOptions {
  const isChosen = ['https', 'http', 'http2', 'serverFactory'].some((name) => name in options)
  return isChosen ? options : { ...options, ...TRANSPORTS[current].options }
}

/** A server without Fastify for the transport. */
export function createBareServer (): Server {
  return TRANSPORTS[current].createServer()
}

/**
 * A server of the transport listens, so clients of its port use the transport until it closes. Then
 * a server of another transport may get the same port.
 */
export function announce (server: Server): void {
  // A server on a TCP port has an address of this shape.
  const { port } = server.address() as AddressInfo
  known.set(port, current)
  server.once('close', () => { known.delete(port) })
}

/** Whether a port is that of a server of the transport. */
export function isAnnounced (port: number): boolean {
  return known.has(port)
}

/** Connects to a port of this machine, over the transport of its server. */
export function connectTo (port: number): Socket {
  return TRANSPORTS[known.get(port) ?? 'http'].connect(port)
}

/** What ws's client needs to connect to a URL over the transport of its server. */
export function connectorOf (url: string): { createConnection?: () => Socket } {
  const { protocol, port } = new URL(url)
  const isPlain = (known.get(Number(port)) ?? 'http') === 'http' || protocol !== 'ws:'
  return isPlain ? {} : { createConnection: () => connectTo(Number(port)) }
}

/** Serves the upgrades of HTTP/2 of a bare server, as ws serves those of HTTP/1. */
export function serveExtendedConnect (http: Server, server: WebSocketStreamServer): void {
  http.on('connect', (request: unknown, response: unknown) => {
    // Over HTTP/2, a listener of `connect` gets these two.
    const upgrade = new StreamUpgrade(
      request as Http2ServerRequest, response as Http2ServerResponse)
    upgrade.createResponse({ onWriteHead () {}, mayWrite: () => true, onEnd () {} })
    upgrade.shakeHands((socket, head) => {
      server.handleUpgrade(upgrade.request, socket, head, (socket, request: IncomingMessage) => {
        server.emit('connection', socket, request)
      })
    })
  })
}
