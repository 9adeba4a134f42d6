/** One WebSocket over HTTP/1 or over HTTP/2: what the application is told, and what comes back. */
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { kOutbox } from '../../src/stream/symbols'
import type { WebsocketHandler, WebsocketServerOptions } from '../../src/types'
import { H2C } from '../helpers/http2'
import { createFastify, listen, portOf } from '../helpers/servers'
import { turn } from '../helpers/streams'
import { Http1Carrier, Http2Carrier, type Carrier, type Wrapping } from './carriers'
import { soonTrue } from './fuzz'
import { act, LATE, turns, type Action } from './reading'

/** How the handler reads. */
export type Reader = 'listener' | 'stream'

/** How a client leaves. */
export interface Leaving {
  readonly kind: 'end' | 'reset'
  /** Of the reset: a code of RFC 9113 section 7. */
  readonly code: number
  /** Without a wait until the server has read what was sent. The end is in the last frame then. */
  readonly isEarly: boolean
}

/** What a client does on a connection, and the handler with its messages. */
export interface Visit {
  readonly chunks: readonly Buffer[]
  /** By the chunk, and then from the start again. */
  readonly wrappings: readonly Wrapping[]
  /** The first chunk comes before the acceptance has. */
  readonly isEager: boolean
  /** ws defers messages, and would not answer them behind the end. So the end has to wait. */
  readonly isDeferred: boolean
  readonly leaving: Leaving
  readonly reader: Reader
  readonly actions: readonly Action[]
}

/** What was told, in order, and the bytes behind the acceptance. */
export interface Account {
  readonly told: unknown[][]
  readonly received: Buffer
}

const PLAIN: Wrapping = { padding: null, empties: 0 }

/** The side of the server of the visit that runs. */
interface Scene {
  readonly visit: Visit
  readonly told: unknown[][]
  /** Null until the handler runs. */
  transport: { readonly bytesRead: number, readonly destroyed: boolean } | null
  isClosed: boolean
}

/** A server with the plugin, for one visit at a time. */
export class CarriedServer {
  readonly #fastify: FastifyInstance
  readonly #Carrier: new (port: number) => Carrier
  #scene: Scene | null = null

  constructor (fastify: FastifyInstance, Carrier: new (port: number) => Carrier) {
    this.#fastify = fastify
    this.#Carrier = Carrier
  }

  /** Runs a visit to its end. */
  async receive (visit: Visit): Promise<Account> {
    const scene: Scene = { visit, told: [], transport: null, isClosed: false }
    this.#scene = scene
    const carrier = new this.#Carrier(portOf(this.#fastify.server))
    try {
      await converse(carrier, scene)
      await soonTrue(() => scene.isClosed, 'the close on the server')
      if (visit.leaving.kind === 'end') await soonTrue(() => carrier.isEnded, 'the end')
    } finally {
      carrier.destroy()
    }
    // What the close brings about in the turn of its own.
    await turn()
    return { told: scene.told, received: carrier.received }
  }

  /** Notes what the application is told during a visit. */
  note (...what: unknown[]): void {
    this.#scene?.told.push(what)
  }

  /** The handler of the server. */
  readonly handle: WebsocketHandler = (connection) => {
    const { socket } = connection
    const scene = this.#scene
    if (scene === null) return
    const { told, visit: { actions, reader } } = scene
    scene.transport = socket[kOutbox].transport as unknown as Scene['transport']
    let count = 0
    const onMessage = (message: unknown, isBinary: boolean): void => {
      told.push(['message', show(message), isBinary])
      const action = actions[count++] ?? 'nothing'
      if (socket.readyState === socket.OPEN) socket.send(Buffer.from(String(count)))
      act(socket, action)
    }
    if (reader === 'listener') socket.on('message', onMessage)
    else connection.on('data', (chunk) => { onMessage(chunk, false) })
    socket.on('ping', (data) => { told.push(['ping', show(data)]) })
    socket.on('pong', (data) => { told.push(['pong', show(data)]) })
    socket.on('error', (error) => { told.push(['error', error.message, Object(error).code]) })
    socket.on('close', (code, reason) => {
      told.push(['close', code, show(reason)])
      scene.isClosed = true
    })
    for (const event of ['end', 'finish', 'close']) {
      connection.on(event, () => { told.push([`${event} of the stream`]) })
    }
  }
}

/** Serves visits over a version of HTTP until the end of the test. */
export async function serveCarried (
  t: Test, version: 'HTTP/1' | 'HTTP/2', options: WebsocketServerOptions
): Promise<CarriedServer> {
  const isHttp2 = version === 'HTTP/2'
  const fastify = createFastify(t, isHttp2 ? H2C : {})
  const carried = new CarriedServer(fastify, isHttp2 ? Http2Carrier : Http1Carrier)
  fastify.register(fastifyWebsocket, {
    options,
    heartbeat: false,
    handle: carried.handle,
    errorHandler: (error) => { carried.note('errorHandler', Object(error).code) }
  })
  await listen(fastify)
  return carried
}

/** What the client sends, chunk by chunk: each is sent when the server has read the one before. */
async function converse (carrier: Carrier, scene: Scene): Promise<void> {
  const { chunks, wrappings, isEager, isDeferred, leaving } = scene.visit
  const isEarly = leaving.isEarly && !isDeferred
  const isOver = (): boolean => scene.isClosed || scene.transport?.destroyed === true
  const hasRead = (length: number) => () => {
    return isOver() || (scene.transport !== null && scene.transport.bytesRead >= length)
  }
  const isLastWithEnd = isEarly && leaving.kind === 'end'
  let length = carrier.headLength
  carrier.open()
  if (!isEager) await soonTrue(hasRead(length), 'the acceptance')
  for (const [i, chunk] of chunks.entries()) {
    if (isOver()) return
    const isLast = isLastWithEnd && i === chunks.length - 1
    await carrier.send(chunk, wrappings[i % wrappings.length] ?? PLAIN, isLast)
    length += chunk.length
    if (isLast || (isEarly && i === chunks.length - 1)) break
    await soonTrue(hasRead(length), `byte ${length}`)
    await turn()
  }
  if (isDeferred) await turns(LATE)
  if (leaving.kind === 'reset') carrier.reset(leaving.code)
  else if (!isLastWithEnd || chunks.length === 0) await carrier.send(NONE, PLAIN, true)
}

const NONE = Buffer.alloc(0)

function show (data: unknown): unknown {
  return Buffer.isBuffer(data) ? data.toString('hex') : data
}
