/** The Duplex of a connection. It reads from the WebSocket of the connection, and writes to it. */
import { toError } from '../observe/thrown'
import { CLOSE_ABNORMAL, CLOSE_NORMAL, closeCodeFor } from '../protocol/close-codes'
import {
  AbnormalCloseError, InvalidMessageError, isDisconnect, isEndByPeer, NotOpenError, UnsentError
} from './errors'
import type { StreamReader } from './delivery'
import { DRAINING, ENDED, FULL, HAS_READER } from './duplex-state'
import { inboxOf, onReaderChange } from './inbox'
import type {
  AnyChunk, Listener, ListenerOf, SocketOnlyEvent, StreamEvents, StreamListenerMethod
} from './listeners'
import { OwnedDuplex, type Callback } from './owned-duplex'
import type { Data } from './send-data'
import { StreamSettings, type SocketStreamOptions } from './settings'
import type { StreamSocket } from './socket'
import { warnOfSocketEvent } from './socket-events'
import { kAccept, kDemand, kInbox, kOutbox, kOwner, kSettings, kStream } from './symbols'
import type { Demand } from './hold-or-drop'
import { writeEach, type WrittenChunk } from './write-each'

const TEXT = { binary: false }
const BINARY = { binary: true }

/** Types what Duplex types as `any`: the chunks, and the arguments of listeners. */
// Both parts of a merged declaration must have the same type parameters.
// eslint-disable-next-line @typescript-eslint/no-unused-vars
export interface SocketStream<Incoming, Outgoing> {
  [Symbol.asyncIterator] (): NodeJS.AsyncIterator<Incoming>
  iterator (options?: { destroyOnReturn?: boolean }): NodeJS.AsyncIterator<Incoming>
  once: StreamListenerMethod<Incoming, this>
  off: StreamListenerMethod<Incoming, this>
  removeListener: StreamListenerMethod<Incoming, this>
  prependOnceListener: StreamListenerMethod<Incoming, this>
}

/**
 * A Duplex over one WebSocket, which stays reachable as `socket`. It reads the messages that
 * arrive and sends what is written to it: bytes by default, messages in object mode, and values
 * if its route has a schema for messages: `Incoming` ones are read, `Outgoing` ones are written.
 *
 * `end()` closes the connection with code 1000, and `finish` says that the close frame has left.
 * `destroy()` closes with 1000 and `destroy(error)` with 1011. `close` comes when the connection is
 * gone.
 */
export class SocketStream<Incoming = AnyChunk, Outgoing = unknown>
  extends OwnedDuplex<Outgoing> implements StreamReader {
  /** The WebSocket of the connection, an instance of the class of ws. */
  readonly socket: StreamSocket

  #state = 0
  /** Undefined until the connection is lost. Then the error, or null if the loss is no error. */
  #lost: Error | null | undefined
  #onFinal: Callback | null = null
  #onGone: Callback | null = null

  /** @throws FST_WS_INVALID_OPTION */
  constructor (
    socket: StreamSocket, options: SocketStreamOptions | StreamSettings = socket[kSettings]
  ) {
    const shared = socket[kSettings]
    const settings = options instanceof StreamSettings
      ? options.sharing(shared)
      : new StreamSettings({ closeTimeout: shared.closeTimeout, ...options }, shared)
    super(settings.duplex)
    this.socket = socket
    socket[kSettings] = settings
    socket[kStream] = this
  }

  #is (state: number): boolean {
    return (this.#state & state) !== 0
  }

  #mark (state: number, isOn: boolean): void {
    this.#state = isOn ? this.#state | state : this.#state & ~state
  }

  // --- Reading ---

  get [kDemand] (): Demand {
    if (!this.#isRead()) return 'none'
    return this.#is(FULL) ? 'full' : 'room'
  }

  /**
   * Whether the stream has a reader. A flowing stream whose last `data` listener was removed has
   * none. Messages then wait for the next listener, as between two calls of `once('data')`.
   */
  #isRead (): boolean {
    if (!this.#is(HAS_READER)) return false
    // `read()` was called, perhaps for the last time: a full stream must not hold the connection.
    if (this.readableFlowing === null && this.#is(FULL)) return this.listenerCount('readable') > 0
    return this.readableFlowing !== true || this.#is(DRAINING) || this.listenerCount('data') > 0
  }

  override on<E extends keyof StreamEvents<Incoming>> (
    event: E, listener: ListenerOf<StreamEvents<Incoming>, E, this>
  ): this
  /** @deprecated A stream emits no such event. Listen on `connection.socket`. */
  override on (event: SocketOnlyEvent, listener: Listener): this
  override on (event: string | symbol, listener: Listener): this
  override on (event: string | symbol, listener: Listener): this {
    super.on(event, listener)
    if (event === 'data' || event === 'readable') this.#comeReader()
    else warnOfSocketEvent(event, this.socket[kSettings])
    return this
  }

  override addListener<E extends keyof StreamEvents<Incoming>> (
    event: E, listener: ListenerOf<StreamEvents<Incoming>, E, this>
  ): this
  /** @deprecated A stream emits no such event. Listen on `connection.socket`. */
  override addListener (event: SocketOnlyEvent, listener: Listener): this
  override addListener (event: string | symbol, listener: Listener): this
  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override prependListener<E extends keyof StreamEvents<Incoming>> (
    event: E, listener: ListenerOf<StreamEvents<Incoming>, E, this>
  ): this
  /** @deprecated A stream emits no such event. Listen on `connection.socket`. */
  override prependListener (event: SocketOnlyEvent, listener: Listener): this
  override prependListener (event: string | symbol, listener: Listener): this
  override prependListener (event: string | symbol, listener: Listener): this {
    super.prependListener(event, listener)
    if (event === 'data') onReaderChange(this.socket)
    else warnOfSocketEvent(event, this.socket[kSettings])
    return this
  }

  // Duplex itself calls this when a `data` listener is added. If the application calls it without a
  // listener, messages are dropped, as in any stream.
  override resume (): this {
    super.resume()
    this.#mark(DRAINING, this.listenerCount('data') === 0)
    this.#comeReader()
    return this
  }

  override read (size?: number): Incoming | null {
    this.#mark(HAS_READER, true)
    const chunk: Incoming | null = super.read(size)
    if (this.#lost !== undefined) this.#destroyWhenEmpty()
    return chunk
  }

  override _read (): void {
    this.#mark(FULL, false)
    this.#comeReader()
  }

  #comeReader (): void {
    this.#mark(HAS_READER, true)
    onReaderChange(this.socket)
  }

  [kAccept] (data: Buffer | string | null, isBinary: boolean): void {
    if (data === null) this.#onEnded()
    else if (!this.destroyed && !this.push(this.socket[kSettings].codec.decode(data, isBinary))) {
      this.#mark(FULL, true)
      onReaderChange(this.socket)
    }
  }

  // --- Writing ---

  override _write (chunk: unknown, _encoding: BufferEncoding, callback: Callback): void {
    const socket = this.socket
    if (socket.readyState !== socket.OPEN) {
      callback(new NotOpenError())
      return
    }
    const { codec, highWaterMark } = socket[kSettings]
    let data: Data
    try {
      data = codec.encode(chunk)
    } catch (error) {
      callback(toError(error))
      return
    }
    const options = typeof data === 'string' ? TEXT : BINARY
    if (socket.bufferedAmount < highWaterMark) {
      socket[kOutbox].write(data, options)
      callback()
    } else {
      socket[kOutbox].write(data, options, (error) => { callback(this.#toWriteError(error)) })
    }
  }

  // The error that ws gives a waiting compressed message has no `code`; give it ours.
  #toWriteError (error: Error | undefined): Error | undefined {
    const isOver = error !== undefined && this.socket.readyState !== this.socket.OPEN
    return isOver && !isDisconnect(error) ? new NotOpenError() : error
  }

  /**
   * In byte mode, chunks that were written while corked or while the peer was slow
   * share one message.
   */
  override _writev (chunks: WrittenChunk[], callback: Callback): void {
    if (this.socket[kSettings].objectMode) {
      writeEach(chunks, this._write.bind(this), callback)
      return
    }
    // Outside object mode Duplex has made a Buffer of every chunk.
    const buffers = chunks.map(({ chunk }) => chunk as Buffer)
    this._write(Buffer.concat(buffers), 'utf8', callback)
  }

  override _final (callback: Callback): void {
    const socket = this.socket
    if (socket.readyState === socket.CLOSED && !this.#isLost()) {
      callback()
      return
    }
    // When the connection is lost first, the stream is destroyed and the callback is not called.
    this.#onFinal = callback
    if (socket.readyState === socket.OPEN) socket.close(CLOSE_NORMAL)
    if (socket.readyState !== socket.CLOSED) socket[kOutbox].onceFinished(() => { this.#finish() })
  }

  #finish (): void {
    const callback = this.#onFinal
    this.#onFinal = null
    callback?.()
  }

  // --- Ends ---

  override _destroy (error: Error | null, callback: Callback): void {
    const { socket } = this
    // What a peer had sent before it failed is still for listeners of the socket, unless the stream
    // is the only reader.
    const isForListeners = socket.listenerCount('message') > 0 || !this.#is(HAS_READER)
    this.#mark(HAS_READER, false)
    const isOpen = socket.readyState === socket.OPEN
    if (isForListeners && !isOpen && isEndByPeer(error)) socket[kInbox]?.letEnd()
    else inboxOf(socket).discard()
    if (socket.readyState === socket.CLOSED) {
      callback(error)
      return
    }
    this.#onGone = () => { callback(error) }
    if (!isOpen) return
    if (error instanceof InvalidMessageError) socket.close(error.closeCode, error.closeReason)
    else socket.close(closeCodeFor(error))
  }

  /** The WebSocket is closed and has no more messages for this stream. */
  #onEnded (): void {
    if (this.#is(ENDED)) return
    this.#mark(ENDED, true)
    if (this.#onGone !== null) this.#onGone()
    else if (this.#isLost()) this.#lose()
    else if (this.#is(HAS_READER)) this.#endNormally()
    else this.#close()
  }

  /** The stream has no reader, so it closes at once and not when its end is read. */
  #close (): void {
    this.#finish()
    this.destroy()
  }

  /** Whether the connection broke, or ended before all that was sent had left. */
  #isLost (): boolean {
    return this.socket.closeCode === CLOSE_ABNORMAL || this.socket[kOutbox].hasUnsent
  }

  #endNormally (): void {
    this.push(null)
    // A reader that has stopped reading does not read the end, but it may wait for `close`.
    if (this.readableLength === 0) super.read(0)
    this.#finish()
    this.end()
  }

  /** The data that came can still be read, but then the stream fails: the data is not complete. */
  #lose (): void {
    const { socket } = this
    if (socket[kOutbox].hasUnsent) this.#lost = new UnsentError()
    else this.#lost = socket[kOutbox].isClosedHere ? null : new AbnormalCloseError()
    if (this.#is(HAS_READER) || socket[kOutbox].hasUnsent) this.#destroyWhenEmpty()
    else this.#loseUnread()
  }

  /** Nothing was read and nothing is unsent, so the stream closes without an error. */
  #loseUnread (): void {
    if (this.#lost != null) this.socket[kOwner]?.report(this.#lost)
    this.destroy()
  }

  #destroyWhenEmpty (): void {
    if (this.readableLength === 0) this.destroy(this.#lost ?? undefined)
  }
}
