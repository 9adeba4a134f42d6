/** The options of a stream: what the user gives, and its checked form with every default. */
import type { DuplexOptions } from 'node:stream'
import type { WebSocket } from 'ws'
import { BYTES, MESSAGES, type Codec } from './codec'
import { InvalidOptionError } from './errors'
import { ConnectionCounts } from '../observe/connection-counts'
import { Traffic } from '../observe/traffic'
import type { DeflateSettings } from '../protocol/deflate'
import { Hub } from '../topics/hub'
import { asString, type ReadText } from './text'

/** Options of a {@link SocketStream}. */
export interface SocketStreamOptions {
  /**
   * Each chunk that is read or written is one message, and text messages are strings. Default:
   * `false`, a stream of bytes: it sends binary messages, and does not keep where a message ends.
   */
  objectMode?: boolean | undefined
  /**
   * `false` means the same as `objectMode: true`. Ignored if `objectMode` is given.
   * Default: `true`.
   */
  binary?: boolean | undefined
  /**
   * Bytes that may wait for a reader, and bytes that may be unsent before `write` returns `false`.
   * In object mode the stream itself counts chunks, 16 of them. Default: 65536.
   */
  highWaterMark?: number | undefined
  /**
   * Milliseconds that a handler which is still running, but does not read, may keep the connection
   * paused once `highWaterMark` is reached. Default: 10000.
   */
  pauseTimeout?: number | undefined
  /**
   * Maximum of bytes that may be unsent to the peer when `socket.send` is called. If more are, the
   * connection is closed with 1013. The limit does not apply to data that waits in the stream.
   * Default: `false`, no limit.
   */
  maxBackpressure?: number | false | undefined
  /**
   * Milliseconds that a peer has to answer a close frame, from when the frame has left the process.
   * Before that, a peer is cut off if it has taken less than 1 KiB a second for so long.
   * Default: 30000.
   */
  closeTimeout?: number | undefined
}

const DEFAULT_HIGH_WATER_MARK = 64 * 1024
const DEFAULT_PAUSE_TIMEOUT = 10_000
/** The default of ws, in milliseconds. The plugin has a default of its own. */
const WS_CLOSE_TIMEOUT = 30_000

/**
 * The longest delay of a Node.js timer, in milliseconds: a longer one would fire at once. Also the
 * largest limit, in bytes, that ws takes: ws counts in 32 bits.
 */
export const MAX_INT32 = 2 ** 31 - 1

/** A set of open connections. */
export interface Clients {
  add (socket: WebSocket): unknown
  delete (socket: WebSocket): boolean
}

/** What streams with different settings share. It is set by this library, never by users. */
export interface SharedState {
  /** Counts the connections. */
  readonly counts: ConnectionCounts
  /** Counts the messages. */
  readonly traffic: Traffic
  /** How `message` listeners get text. */
  readonly readText: ReadText
  /** The topics of the connections. */
  readonly topics: Hub
  /** The open connections; null where the server of ws keeps them. */
  readonly clients: Clients | null
  /** How messages are compressed that need not go through ws; null if none are compressed. */
  readonly deflate: DeflateSettings | null
}

/** What the streams of a new server share. Parts that are not given are created. */
export function createShared (
  { counts, traffic, readText, topics, clients, deflate }: Partial<SharedState> = {}
): SharedState {
  return {
    counts: counts ?? new ConnectionCounts(),
    traffic: traffic ?? new Traffic(),
    readText: readText ?? asString,
    topics: topics ?? new Hub(),
    clients: clients ?? null,
    deflate: deflate ?? null
  }
}

/** Checked, complete options of a {@link SocketStream}; one object serves a server's streams. */
export class StreamSettings implements SharedState {
  static readonly defaults = new StreamSettings()

  readonly objectMode: boolean
  readonly codec: Codec
  readonly highWaterMark: number
  readonly pauseTimeout: number
  /** Infinity for no limit. */
  readonly maxBackpressure: number
  readonly closeTimeout: number
  readonly counts: ConnectionCounts
  readonly traffic: Traffic
  readonly readText: ReadText
  readonly topics: Hub
  readonly clients: Clients | null
  readonly deflate: DeflateSettings | null
  /** Options of the constructor of Duplex. Its types lack `captureRejections`. */
  readonly duplex: DuplexOptions & { captureRejections: boolean }

  /**
   * @param shared what these streams share with those of other settings
   * @param codec of a stream of values. Such a stream is always in object mode.
   * @throws FST_WS_INVALID_OPTION
   */
  constructor (
    options: SocketStreamOptions = {}, shared: SharedState = createShared(),
    codec: Codec | null = null
  ) {
    this.counts = shared.counts
    this.traffic = shared.traffic
    this.readText = shared.readText
    this.topics = shared.topics
    this.clients = shared.clients
    this.deflate = shared.deflate
    this.objectMode = codec !== null || (options.objectMode ?? options.binary === false)
    this.codec = codec ?? (this.objectMode ? MESSAGES : BYTES)
    const { highWaterMark, pauseTimeout, maxBackpressure, closeTimeout } = options
    this.highWaterMark = checkNumber('highWaterMark', highWaterMark, DEFAULT_HIGH_WATER_MARK)
    this.pauseTimeout = checkNumber('pauseTimeout', pauseTimeout, DEFAULT_PAUSE_TIMEOUT)
    this.maxBackpressure = checkNumber(
      'maxBackpressure', maxBackpressure === false ? undefined : maxBackpressure, Infinity)
    this.closeTimeout = checkNumber('closeTimeout', closeTimeout, WS_CLOSE_TIMEOUT)
    this.duplex = {
      objectMode: this.objectMode,
      decodeStrings: !this.objectMode,
      captureRejections: true,
      ...(!this.objectMode && { highWaterMark: this.highWaterMark })
    }
  }

  /** The same settings for one connection that also has message counts of its own. */
  countedApart (): StreamSettings {
    const traffic = new Traffic(this.traffic)
    return Object.assign(Object.create(StreamSettings.prototype), this, { traffic })
  }

  /** The same settings, for streams of the values that `codec` makes. */
  withCodec (codec: Codec): StreamSettings {
    return copyOf(this, this, codec)
  }

  /** The same settings, for the connections of another server. */
  sharing (shared: SharedState): StreamSettings {
    if (shared.counts === this.counts) return this
    return copyOf(this, shared, this.codec === BYTES ? null : this.codec)
  }
}

function copyOf (
  { highWaterMark, pauseTimeout, maxBackpressure, closeTimeout }: StreamSettings,
  shared: SharedState, codec: Codec | null
): StreamSettings {
  const limit = maxBackpressure === Infinity ? false : maxBackpressure
  return new StreamSettings(
    { highWaterMark, pauseTimeout, maxBackpressure: limit, closeTimeout }, shared, codec)
}

/** @throws FST_WS_INVALID_OPTION */
export function checkNumber (name: string, value: number | undefined, fallback: number): number {
  // As in ws, null means that the option is not given.
  if (value == null) return fallback
  if (!Number.isInteger(value) || value < 0 || value > MAX_INT32) {
    throw new InvalidOptionError(name, `an integer from 0 to ${MAX_INT32}`, value)
  }
  return value
}
