import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import {
  AbnormalCloseError, InvalidChunkError, isDisconnect, isProtocolError, NotOpenError, UnsentError
} from './errors'
import { codeOf, toError } from '../observe/thrown'
import {
  kAccept, kClosedHere, kDiscard, kEnded, kFlushed, kFull, kOwner, kReaderChange, kReading, kReport,
  kSend, kSettings, kStream, kUnsent
} from './symbols'
import { guardCallback } from './callback'
import { CLOSE_ABNORMAL, CLOSE_INTERNAL_ERROR, CLOSE_NORMAL } from '../protocol/close-codes'
import { compact } from './compact'
import type { SocketReader } from './inbox'
import { StreamSettings, type SocketStreamOptions } from './settings'
import type { StreamSocket } from './socket'

type Callback = (error?: Error | null) => void
type Listener = Parameters<EventEmitter['on']>[1]

interface WrittenChunk {
  chunk: unknown
  encoding: BufferEncoding
}

const TEXT = { binary: false }
const BINARY = { binary: true }

/**
 * A Duplex over one WebSocket, which stays reachable as `socket`. It reads the messages that
 * arrive and sends what is written to it: bytes by default, messages in object mode.
 *
 * `end()` closes the connection with code 1000, and `finish` says that the close frame has left.
 * `destroy()` closes with 1000 and `destroy(error)` with 1011. `close` comes when the connection is
 * gone.
 */
export class SocketStream extends Duplex implements SocketReader {
  /** The WebSocket below, of the class of ws. */
  readonly socket: StreamSocket

  #hasReader = false
  #isDraining = false
  #isEnded = false
  #lost: Error | null | undefined
  #reported: WeakSet<Error> | null = null
  #onFinal: Callback | null = null
  #onGone: Callback | null = null;
  [kFull] = false

  /** @throws FST_WS_INVALID_OPTION */
  constructor (
    socket: StreamSocket, options: SocketStreamOptions | StreamSettings = socket[kSettings]
  ) {
    const settings = options instanceof StreamSettings
      ? options
      : new StreamSettings({ closeTimeout: socket[kSettings].closeTimeout, ...options })
    super(settings.duplex)
    this.socket = socket
    socket[kSettings] = settings
    socket[kStream] = this
  }

  /**
   * Close code of the connection, once it is closed: 1005 if the peer gave none, 1006
   * if it was lost.
   */
  get closeCode (): number | undefined {
    return this.socket.closeCode
  }

  /** Close reason that the peer gave, once the connection is closed. */
  get closeReason (): string | undefined {
    return this.socket.closeReason
  }

  // --- Reading ---

  /**
   * A flowing stream whose last `data` listener has left is between two `once`: its
   * messages wait.
   */
  get [kReading] (): boolean {
    if (!this.#hasReader) return false
    // Not flowing and without a listener: a reader that called `read()` once may not come back.
    if (this.readableFlowing === null && this[kFull]) return this.listenerCount('readable') > 0
    return this.readableFlowing !== true || this.#isDraining || this.listenerCount('data') > 0
  }

  override on (event: string | symbol, listener: Listener): this {
    super.on(event, listener)
    if (event === 'data' || event === 'readable') this.#comeReader()
    else if (SOCKET_EVENTS.has(event)) warnOfListener(event, this.socket[kSettings])
    return this
  }

  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override prependListener (event: string | symbol, listener: Listener): this {
    super.prependListener(event, listener)
    if (event === 'data') this.socket[kReaderChange]()
    else if (SOCKET_EVENTS.has(event)) warnOfListener(event, this.socket[kSettings])
    return this
  }

  // Duplex itself calls this when a `data` listener comes; called by the user without one, it
  // throws away what arrives, as in any stream.
  override resume (): this {
    super.resume()
    this.#isDraining = this.listenerCount('data') === 0
    this.#comeReader()
    return this
  }

  // `unknown` would be no `NodeJS.ReadableStream`, which `node:readline` and others ask for.
  override read (size?: number): ReturnType<Duplex['read']> {
    this.#hasReader = true
    const chunk: unknown = super.read(size)
    if (this.#lost !== undefined) this.#destroyWhenEmpty()
    return chunk
  }

  override _read (): void {
    this[kFull] = false
    this.#comeReader()
  }

  #comeReader (): void {
    this.#hasReader = true
    this.socket[kReaderChange]()
  }

  [kAccept] (data: Buffer, isBinary: boolean): void {
    if (this.destroyed) return
    if (this.push(this.#toChunk(data, isBinary))) return
    this[kFull] = true
    this.socket[kReaderChange]()
  }

  #toChunk (data: Buffer, isBinary: boolean): string | Buffer {
    if (this.socket[kSettings].objectMode && !isBinary) return data.toString()
    // It may wait in this stream, or in the one that it is piped to.
    return compact(data)
  }

  // --- Writing ---

  override write (chunk: unknown, callback?: Callback): boolean
  override write (chunk: unknown, encoding: BufferEncoding, callback?: Callback): boolean
  override write (
    chunk: unknown, encodingOrCallback?: BufferEncoding | Callback, callback?: Callback
  ): boolean {
    if (typeof encodingOrCallback === 'function') {
      return super.write(chunk, this.#guard(encodingOrCallback))
    }
    // Duplex takes an encoding that is not given; its types do not.
    return super.write(chunk, encodingOrCallback as BufferEncoding, this.#guard(callback))
  }

  override end (callback?: Callback): this
  override end (chunk: unknown, callback?: Callback): this
  override end (chunk: unknown, encoding?: BufferEncoding, callback?: Callback): this
  override end (...args: unknown[]): this {
    const [chunk, encoding, callback] = args.map((argument) => {
      return typeof argument === 'function' ? this.#guard(argument as Callback) : argument
    })
    // Duplex finds out what is what; its types want to be told.
    return super.end(chunk, encoding as BufferEncoding, callback as Callback)
  }

  /** A callback that cannot throw where the connection has an owner to tell. */
  #guard<C extends Callback | undefined> (callback: C): C | Callback {
    const isGuarded = typeof callback === 'function' && this.socket[kOwner] !== null
    return isGuarded ? guardCallback(callback, this) : callback
  }

  override _write (chunk: unknown, _encoding: BufferEncoding, callback: Callback): void {
    const socket = this.socket
    if (socket.readyState !== socket.OPEN) {
      callback(new NotOpenError())
      return
    }
    if (!isSendable(chunk)) {
      callback(new InvalidChunkError(typeof chunk))
      return
    }
    const options = typeof chunk === 'string' ? TEXT : BINARY
    if (socket.bufferedAmount < this.socket[kSettings].highWaterMark) {
      socket[kSend](chunk, options)
      callback()
    } else {
      socket[kSend](chunk, options, (error) => { callback(this.#toWriteError(error)) })
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
      this.#writeEach(chunks, callback)
      return
    }
    // Outside object mode Duplex has made a Buffer of every chunk.
    const buffers = chunks.map(({ chunk }) => chunk as Buffer)
    this._write(Buffer.concat(buffers), 'utf8', callback)
  }

  #writeEach (chunks: WrittenChunk[], callback: Callback): void {
    let unwritten = chunks.length
    let failure: Error | null | undefined
    const onWritten: Callback = (error) => {
      failure ??= error
      if (--unwritten === 0) callback(failure)
    }
    for (const { chunk, encoding } of chunks) this._write(chunk, encoding, onWritten)
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
    if (socket.readyState !== socket.CLOSED) socket[kFlushed](() => { this.#finish() })
  }

  #finish (): void {
    const callback = this.#onFinal
    this.#onFinal = null
    callback?.()
  }

  // --- Ends ---

  override _destroy (error: Error | null, callback: Callback): void {
    const socket = this.socket
    socket[kDiscard]()
    if (socket.readyState === socket.CLOSED) {
      callback(error)
      return
    }
    this.#onGone = () => { callback(error) }
    if (socket.readyState === socket.OPEN) {
      socket.close(error === null || isAbort(error) ? CLOSE_NORMAL : CLOSE_INTERNAL_ERROR)
    }
  }

  /** The WebSocket is closed and all that it received has been handed over. */
  [kEnded] (): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#onGone !== null) this.#onGone()
    else if (this.#isLost()) this.#lose()
    else if (this.#hasReader) this.#endNormally()
    else this.#close()
  }

  /** The stream has no reader, so there is no end to wait for. */
  #close (): void {
    this.#finish()
    this.destroy()
  }

  /** Whether the connection broke, or ended before all that was sent had left. */
  #isLost (): boolean {
    return this.socket.closeCode === CLOSE_ABNORMAL || this.socket[kUnsent]
  }

  #endNormally (): void {
    this.push(null)
    // A reader who has left does not ask for the end, but may wait for `close`.
    if (this.readableLength === 0) super.read(0)
    this.#finish()
    this.end()
  }

  /** What came is still read, but it does not end as if it were complete. */
  #lose (): void {
    const { socket } = this
    if (socket[kUnsent]) this.#lost = new UnsentError()
    else this.#lost = socket[kClosedHere] ? null : new AbnormalCloseError()
    if (this.#hasReader || socket[kUnsent]) this.#destroyWhenEmpty()
    else this.#loseUnread()
  }

  /** Nothing was read and nothing is unsent: to the stream that is a close as any other. */
  #loseUnread (): void {
    if (this.#lost != null) this[kReport](this.#lost)
    this.destroy()
  }

  #destroyWhenEmpty (): void {
    if (this.readableLength === 0) this.destroy(this.#lost ?? undefined)
  }

  // --- Errors ---

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    // The cast says what a stream emits; the type of `emit` does not.
    if (event === 'error') return this.#emitError(args[0] as Error)
    return this.#emitInScope(event, args)
  }

  #emitInScope (event: string | symbol, args: unknown[]): boolean {
    const owner = this.socket[kOwner]
    if (owner === null) return super.emit(event, ...args)
    try {
      // What is read is emitted in the scope already, by the socket or by whoever reads.
      if (event === 'data') return super.emit(event, ...args)
      return owner.runInAsyncScope(super.emit, this, event, ...args)
    } catch (error) {
      this[kReport](error)
      return true
    }
  }

  #emitError (error: Error): boolean {
    if (!isAbort(error)) this[kReport](error)
    // An error without a listener is thrown, but nothing that a peer does may be thrown.
    const isHandled = this.socket[kOwner] !== null || isDisconnect(error) || isProtocolError(error)
    if (isHandled && this.listenerCount('error') === 0) return false
    return this.#emitInScope('error', [error])
  }

  override [EventEmitter.captureRejectionSymbol] (error: Error, ..._emission: unknown[]): void {
    if (this.socket[kOwner] === null) this.destroy(error)
    else this[kReport](error)
  }

  /** Tells the owner once of each error, however many ways it takes to get here. */
  [kReport] (thrown: unknown): void {
    const error = toError(thrown)
    if (this.#reported?.has(error) === true) return
    this.#reported ??= new WeakSet()
    this.#reported.add(error)
    this.socket[kOwner]?.onError(error)
  }
}

/** Events that a WebSocket has and a stream has not. */
const SOCKET_EVENTS = new Set<string | symbol>(['message', 'ping', 'pong'])

/** Settings of servers that the warning was given for: one object serves a server's streams. */
const warned = new WeakSet<StreamSettings>()

/**
 * Warns of a listener that would wait for ever: other packages call the WebSocket a connection. The
 * warning does not go to the request's log, because an application without a logger needs it most.
 */
function warnOfListener (event: string | symbol, settings: StreamSettings): void {
  if (warned.has(settings)) return
  warned.add(settings)
  const name = String(event)
  const stream = event === 'message' ? ", or connection.on('data', …) for a stream" : ''
  const warning = `fastify-websocket: a connection is a stream and emits no '${name}' event, so ` +
    `this listener is not called. Write connection.socket.on('${name}', …)${stream}.`
  process.emitWarning(warning, { code: 'FST_WS_SOCKET_EVENT' })
}

function isSendable (chunk: unknown): chunk is string | ArrayBuffer | Uint8Array {
  return typeof chunk === 'string' || ArrayBuffer.isView(chunk) || chunk instanceof ArrayBuffer
}

/** Whether a reader has stopped on purpose: Node.js destroys a stream so on leaving `for await`. */
function isAbort (error: Error): boolean {
  return codeOf(error) === 'ABORT_ERR'
}
