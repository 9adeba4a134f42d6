/** The server of the stream: ws's server, whose connections are {@link StreamSocket}s. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type ServerOptions } from 'ws'
import { DEFAULT_MAX_SUBSCRIPTIONS, Hub, type PublishOptions } from '../topics/hub'
import type { TopicData } from '../topics/message'
import { noteExtensions, serverDeflateOf, takeAgreed, type ServerDeflate } from './agreed-deflate'
import { takesNoText, takesText } from './delivery'
import { UnsupportedOptionError } from './errors'
import { FrameReader } from './frame-reader'
import { readOptions } from './given'
import type { Listener, ListenerMethod, ListenerOf } from './listeners'
import { areEqual, type ReadingOptions } from './read-socket'
import { kOutbox, kSettings, kStream } from './symbols'
import {
  checkNumber, createShared, MAX_INT32, StreamSettings, type SharedState, type SocketStreamOptions
} from './settings'
import { StreamSocket } from './socket'
import { asString } from './text'
import { SocketStream } from './duplex'
import { checkData } from './topic-socket'

/** Options of ws's `WebSocketServer` and of {@link SocketStream}. */
export interface WebSocketStreamServerOptions
  extends Omit<ServerOptions<typeof StreamSocket>, 'WebSocket'>, SocketStreamOptions {
  // The types of ws lack this option.
  /** Maximum number of answers to pings that may be unsent; 0 means no limit. Default: 60. */
  maxPendingAutoPongs?: number | undefined
  /** Maximum number of topics that one connection may be subscribed to. Default: 1000. */
  maxSubscriptions?: number | undefined
}

/** Turns off the close timer of ws: `closing.ts` replaces it. The types of ws lack the option. */
const NEVER = { closeTimeout: MAX_INT32 }

/** The names of all options that the installed ws has. ws reads only own properties. */
export const WS_OPTIONS = Object.keys(new WebSocketServer({ noServer: true }).options)

/** Why there is no option `WebSocket`. */
export const OWN_CLASS = 'connections have a class of their own, StreamSocket'

/** The events of a server and what their listeners get. */
export interface ServerEvents {
  /** A connection has been accepted. */
  connection: [socket: StreamSocket, request: IncomingMessage]
  /** The same, with the stream of the connection. */
  stream: [stream: SocketStream, request: IncomingMessage]
  /** The handshake is about to leave. Lines of its head can be added. */
  headers: [lines: string[], request: IncomingMessage]
  /** Messages of other processes may have been lost. */
  gap: []
  listening: []
  close: []
  error: [error: Error]
  wsClientError: [error: Error, socket: Duplex, request: IncomingMessage]
}

type ServerListener<E extends keyof ServerEvents, Server> = ListenerOf<ServerEvents, E, Server>

/** Listener of the `stream` event. */
export type StreamListener = (stream: SocketStream, request: IncomingMessage) => void

/** Gets the connection of a handshake that has succeeded. */
export type UpgradeCallback = (socket: StreamSocket, request: IncomingMessage) => void

/** Types the listeners of the events that ws does not have, beside those of ws. */
export interface WebSocketStreamServer {
  on<E extends keyof ServerEvents> (event: E, listener: ServerListener<E, this>): this
  on (event: string | symbol, listener: Listener): this
  addListener<E extends keyof ServerEvents> (event: E, listener: ServerListener<E, this>): this
  addListener (event: string | symbol, listener: Listener): this
  prependListener<E extends keyof ServerEvents> (event: E, listener: ServerListener<E, this>): this
  prependListener (event: string | symbol, listener: Listener): this
  once: ListenerMethod<ServerEvents, this>
  off: ListenerMethod<ServerEvents, this>
  removeListener: ListenerMethod<ServerEvents, this>
  prependOnceListener: ListenerMethod<ServerEvents, this>
}

/**
 * A ws server that emits `stream`, with a {@link SocketStream} and the request, for every
 * connection. Made with `server`, `port` or `noServer`, like any ws server.
 */
export class WebSocketStreamServer extends WebSocketServer<typeof StreamSocket> {
  readonly streamSettings: StreamSettings
  /** A frame reader for connections that ws does not defer, one that defers, one that inflates. */
  readonly #readers: FrameReader[] = []
  /** Null if messages are not compressed. */
  readonly #deflate: ServerDeflate | null

  /**
   * @param onStream added as a listener of `stream`
   * @param shared what its connections have in common with those of another server
   * @throws FST_WS_INVALID_OPTION, FST_WS_UNSUPPORTED_OPTION, and what ws throws for its options
   */
  constructor (
    options: WebSocketStreamServerOptions = {}, onStream?: StreamListener,
    shared: Partial<SharedState> = {}
  ) {
    if ('WebSocket' in options && options.WebSocket != null) {
      throw new UnsupportedOptionError('WebSocket', OWN_CLASS)
    }
    // Options are checked first, because the constructor of ws opens the port.
    const serverDeflate = serverDeflateOf(options.perMessageDeflate)
    const deflate = serverDeflate?.settings ?? null
    const maxSubscriptions = checkNumber(
      'maxSubscriptions', options.maxSubscriptions, DEFAULT_MAX_SUBSCRIPTIONS)
    const topics = shared.topics ?? new Hub({ maxSubscriptions, deflate })
    const streamSettings = new StreamSettings(options, createShared({ ...shared, topics, deflate }))
    super({ ...options, ...readOptions(options, WS_OPTIONS), WebSocket: StreamSocket, ...NEVER })
    this.streamSettings = streamSettings
    this.#deflate = serverDeflate
    if (deflate !== null) this.on('headers', noteExtensions)
    this.on('connection', this.#emitStream)
    if (onStream !== undefined) this.on('stream', onStream)
  }

  /**
   * Publishes to all subscribers of a topic. A string becomes a text message, bytes a binary one.
   * Subscribers of this process get it at once. The promise resolves when the broker has the
   * message; it rejects with FST_WS_BROKER, and need not be awaited.
   *
   * @throws FST_WS_INVALID_TOPIC, FST_WS_INVALID_CHUNK
   */
  publish (topic: string, data: TopicData, options?: PublishOptions): Promise<void> {
    return this.streamSettings.topics.publish(topic, checkData(data), options, null)
  }

  /**
   * How many connections of this process are subscribed to a topic.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  subscriberCount (topic: string): number {
    return this.streamSettings.topics.subscriberCount(topic)
  }

  override handleUpgrade (
    request: IncomingMessage, transport: Duplex, head: Buffer, callback: UpgradeCallback
  ): void {
    const isUnread = transport.listenerCount('data') === 0
    super.handleUpgrade(request, transport, head, (socket, request) => {
      socket[kOutbox].attach(transport)
      socket[kSettings] = this.streamSettings
      this.streamSettings.counts.accepted++
      this.streamSettings.clients?.add(socket)
      const { deflatesAlone, inflatesAlone } = takeAgreed(this.#deflate)
      if (deflatesAlone) socket[kOutbox].deflateAlone()
      if (isUnread) this.#readerFor(socket, inflatesAlone).attach(socket, transport)
      callback(socket, request)
    })
  }

  /** The frame reader for a socket, which depends on the extensions that it has negotiated. */
  #readerFor ({ extensions }: StreamSocket, inflatesAlone: boolean): FrameReader {
    const { maxPayload, maxFragments, skipUTF8Validation, allowSynchronousEvents } = this.options
    // As in ws: messages are deferred if the option is given and its value is falsy.
    const isSynchronous = allowSynchronousEvents === undefined || Boolean(allowSynchronousEvents)
    const isPlain = extensions === '' && isSynchronous
    const options: ReadingOptions = {
      // In 32 bits, as ws counts.
      maxPayload: Number(maxPayload) | 0,
      maxFragments: Number(maxFragments) | 0,
      skipUTF8Validation: skipUTF8Validation === true,
      takesText: this.streamSettings.readText === asString ? takesText : takesNoText,
      isDeferred: !isPlain,
      isInTurns: !isSynchronous,
      inflatesHere: inflatesAlone && isSynchronous
    }
    const kind = Number(options.isDeferred) + Number(options.inflatesHere)
    const known = this.#readers[kind]
    // An application may have changed the options of the server since.
    if (known !== undefined && areEqual(known.options, options)) return known
    const reader = new FrameReader(options)
    this.#readers[kind] = reader
    return reader
  }

  #emitStream (socket: StreamSocket, request: IncomingMessage): void {
    if (this.listenerCount('stream') === 0) return
    const made = socket[kStream]
    const stream = made instanceof SocketStream
      ? made
      : new SocketStream(socket, this.streamSettings)
    this.emit('stream', stream, request)
  }
}

/**
 * Creates a {@link WebSocketStreamServer}.
 *
 * @param onStream called with the stream and the request of every connection
 */
export function createServer (
  options?: WebSocketStreamServerOptions, onStream?: StreamListener
): WebSocketStreamServer {
  return new WebSocketStreamServer(options, onStream)
}
