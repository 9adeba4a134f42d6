/**
 * A stream of HTTP/2 as the Duplex that ws expects. ws speaks HTTP/1 until the handshake is done:
 * the first bytes that it writes are a head, which is translated here into headers of HTTP/2. All
 * that follows is passed on as it is.
 *
 * The server's side is in `http2-stream.ts`, the client's side of `injectWS` in
 * `inject/http2-client.ts`.
 */
import { constants, type Http2Stream } from 'node:http2'
import { Duplex } from 'node:stream'
import { toError } from '../observe/thrown'
import { splitHead, type HttpHead } from '../protocol/http-head'
import { onNextTurn } from '../stream/next-turn'

type Callback = (error?: Error | null) => void

/**
 * Bytes that are written to the stream at a time, each time in a turn of the event loop. Node.js
 * tells only when a write has left as a whole, so a slow peer shows progress in steps of this size.
 * A burst up to this size leaves at once, if the peer has room for it.
 */
const MAX_WRITE = 256 * 1024

const { NGHTTP2_CANCEL } = constants

/** On a stream: the Duplex over it. */
const kDuplex = Symbol('fastify-websocket.duplex')

type CarriedStream = Http2Stream & { [kDuplex]?: Http2Duplex }

/** See the header of this file. */
export abstract class Http2Duplex extends Duplex {
  bytesRead = 0
  /** Why the head that was written could not be sent, or null. */
  headError: Error | null = null

  /** Whether the bytes that arrive on the stream may be read. */
  protected mayRead = true

  #stream: CarriedStream | null = null
  #isReading = false
  #sent = 0
  /** The part of the head that was written, or null when the head is complete. */
  #head: Buffer | null = Buffer.alloc(0)

  constructor () {
    super({ allowHalfOpen: true })
  }

  /** Sends the head that was written. */
  protected abstract sendHead (head: HttpHead): void

  /** Carries the bytes on a stream, which is read only when this Duplex is read. */
  protected attach (stream: CarriedStream): void {
    this.#stream = stream
    stream[kDuplex] = this
    stream.on('error', onError)
    stream.on('aborted', onAborted)
    stream.on('close', onClose)
    if (stream.closed) this.destroy()
  }

  /** Like the counter of a `net.Socket`, it includes bytes that wait. */
  get bytesWritten (): number {
    return this.#sent + this.writableLength
  }

  override _read (): void {
    const stream = this.#stream
    if (stream === null || !this.mayRead) return
    if (this.#isReading) {
      stream.resume()
      return
    }
    this.#isReading = true
    stream.on('data', onData)
    stream.on('end', onEnd)
  }

  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    if (this.#head === null) this.#writeParts(splitParts([chunk]), callback)
    else this.#writeHead(Buffer.concat([this.#head, chunk]), callback)
  }

  override _writev (chunks: Array<{ chunk: Buffer }>, callback: Callback): void {
    const buffers = chunks.map(({ chunk }) => chunk)
    if (this.#head === null) this.#writeParts(splitParts(buffers), callback)
    else this.#writeHead(Buffer.concat([this.#head, ...buffers]), callback)
  }

  #writeHead (bytes: Buffer, callback: Callback): void {
    this.#head = bytes
    const found = splitHead(bytes)
    if (found === null) {
      callback()
      return
    }
    this.#head = null
    try {
      this.sendHead(found.head)
    } catch (error) {
      this.headError = toError(error)
      callback(this.headError)
      return
    }
    this.#writeParts(splitParts([found.rest]), callback)
  }

  /** Writes one part after the other, because Node.js tells only of each whole write. */
  #writeParts (parts: Buffer[][], callback: Callback): void {
    const [part, ...rest] = parts
    const stream = this.#stream
    const last = part?.pop()
    if (part === undefined || last === undefined || stream === null) {
      callback()
      return
    }
    const size = part.reduce((sum, { length }) => sum + length, last.length)
    stream.cork()
    for (const chunk of part) stream.write(chunk)
    stream.write(last, (error) => {
      if (error == null) this.#sent += size
      if (error == null) this.#writeParts(rest, callback)
      else callback(error)
    })
    stream.uncork()
  }

  override _final (callback: Callback): void {
    const stream = this.#stream
    if (this.#head !== null || stream === null) {
      this.destroy()
      callback()
      return
    }
    stream.end(() => {
      callback()
      this.onEnd()
    })
  }

  /** The end has been written. */
  protected onEnd (): void {}

  override _destroy (error: Error | null, callback: Callback): void {
    // When the end has been written, the stream closes by itself. If it were destroyed now, the
    // peer might not get that end.
    if (this.#stream !== null && this.headError === null && !this.writableFinished) {
      // In the next turn: a reset drops bytes that have not left, and this turn may have sent some.
      onNextTurn(cutOff, this.#stream)
    }
    callback(error)
  }

  /** A chunk has arrived. Returns whether more may come. */
  receive (chunk: Buffer): boolean {
    this.bytesRead += chunk.length
    return this.push(chunk) || this.destroyed
  }

  /** The stream is reset before its end was written. */
  followReset (): void {}

  /** The stream is closed. What has arrived before stays readable. */
  followClose (isEnded: boolean): void {
    if (!isEnded || this.readableEnded) {
      this.destroy()
      return
    }
    // If the stream was never read, the listener for its `end` was not there yet.
    this.push(null)
    this.once('end', () => { this.destroy() })
  }
}

/**
 * Resets a stream, with an error code: Node.js holds such a reset back while it reads what the peer
 * has sent. A reset without an error code, as that of `destroy`, would leave during the reading.
 * Then Node.js 20 would free the memory of the stream twice.
 */
export function cutOff (stream: Http2Stream): void {
  if (!stream.closed) stream.close(NGHTTP2_CANCEL)
  // If the peer does not read, the reset cannot be sent, and without this line the stream would
  // stay open. In the next turn: while Node.js 22 reads, it aborts if an answer is about to leave,
  // by an assertion in `Http2Stream::OnTrailers`.
  onNextTurn(destroy, stream)
}

function destroy (stream: Http2Stream): void {
  stream.destroy()
}

/** Groups of chunks, none of them larger than MAX_WRITE. */
function splitParts (chunks: readonly Buffer[]): Buffer[][] {
  const parts: Buffer[][] = []
  let room = 0
  for (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      if (room === 0) {
        parts.push([])
        room = MAX_WRITE
      }
      const piece = chunk.subarray(start, start + room)
      parts.at(-1)?.push(piece)
      start += piece.length
      room -= piece.length
    }
  }
  return parts
}

// One listener for all streams: each finds its Duplex by the symbol.

function onData (this: CarriedStream, chunk: Buffer): void {
  if (this[kDuplex]?.receive(chunk) === false) this.pause()
}

function onEnd (this: CarriedStream): void {
  this[kDuplex]?.push(null)
}

/** An `error` needs no answer here, because `close` follows. */
function onError (): void {}

function onAborted (this: CarriedStream): void {
  this[kDuplex]?.followReset()
}

function onClose (this: CarriedStream): void {
  this[kDuplex]?.followClose(this.readableEnded)
}
