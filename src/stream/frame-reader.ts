/**
 * Reads the frames of connections before ws does, in the chunks in which they arrive. Most frames
 * are a whole message that is uncompressed, or short and compressed on its own: those messages go
 * to the inbox and not to ws. All other frames go to ws, which checks, joins and refuses them. They
 * are unmasked and have a key of zeros, so that ws need not unmask them.
 *
 * | after                             | the next bytes are                  | until               |
 * |-----------------------------------|-------------------------------------|---------------------|
 * | a whole frame                     | a frame: read here, or given to ws  |                     |
 * | a part of a header                | the rest of it; the part is kept    | the header is whole |
 * | a part of a message inflated here | the rest of it; the part is kept    | the frame is whole  |
 * | a part of a frame that ws gets    | the rest of it, given to ws         | the frame is whole  |
 * | a frame without FIN               | frames that are all given to ws     | a final data frame  |
 * | a final frame that ws defers      | kept, and the transport is paused   | ws shows the frame  |
 * | a close frame, or a refused frame | dropped                             | the connection ends |
 *
 * ws *shows* a final frame when it emits it, as a message, a ping or a pong. It does so at once, or
 * it *defers* the frame, because it inflates messages or emits one in each turn of the event loop.
 * A frame that is neither shown at once nor deferred is refused. Where ws defers frames, it gets
 * one final frame at a time: if several chunks waited in ws 8.23, and ws refused a frame in the
 * first of them, the process would end.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import type { Duplex } from 'node:stream'
import { Chunk } from '../protocol/chunk'
import { CLOSE, FrameHeader, isControl, KEY_SIZE, mayBeWhole, TEXT } from '../protocol/frame-header'
import { LONG_PAYLOAD, readKey, turnKey, unmask } from '../protocol/mask'
import { compact } from './compact'
import { deliverHere, demandOf } from './delivery'
import { giveToWs, replaceListener, type DataListener } from './handover'
import { inboxOf } from './inbox'
import { inflate, isInflatedHere } from './inflated-message'
import {
  kReader, kSocket, type ReadingOptions, type ReadSocket, type SocketReader, type Transport
} from './read-socket'
import { kInbox, kOwner, kReadState, kSettings } from './symbols'
import { isOfWs, isWaiting, takeGiven, Unfinished } from './unfinished'

/** One object for all headers: the last header is no longer needed when the next one is read. */
const header = new FrameHeader()

/** Drops all bytes that still arrive for a socket, for example when ws has refused a frame. */
export function stopReading (socket: ReadSocket): void {
  socket[kReadState] = 'over'
}

/** Reads the frames of a server's connections; see the header of this file. */
export class FrameReader implements SocketReader {
  readonly options: ReadingOptions
  readonly #onData: DataListener
  readonly #onClose: (this: Duplex) => void

  constructor (options: ReadingOptions) {
    this.options = options
    const read = (transport: Duplex, chunk: Buffer): void => {
      // The cast is safe: the listeners are only on transports that have the symbol.
      this.#read(transport as Transport, chunk)
    }
    this.#onData = function (chunk) { read(this, chunk) }
    this.#onClose = function () {
      // With a size, because without one a flowing transport returns only its first chunk.
      const rest: Buffer | null = this.read(this.readableLength)
      if (rest !== null) read(this, rest)
      onEnd.call(this)
    }
  }

  /** Reads a connection in place of ws, if the only `data` listener is the usual one of ws. */
  attach (socket: ReadSocket, transport: Duplex): void {
    if (!replaceListener(transport, this.#onData)) return
    // The next lines make it one.
    const read = transport as Transport
    read[kSocket] = socket
    read[kReader] = this
  }

  detach (transport: Duplex): void {
    transport.off('data', this.#onData)
    transport.off('end', onEnd)
    transport.off('close', this.#onClose)
  }

  #read (transport: Transport, chunk: Buffer): void {
    const socket = transport[kSocket]
    const owner = socket[kOwner]
    // The context of the owner is entered once for all messages of the chunk.
    if (owner === null) this.#readChunk(socket, transport, chunk)
    else owner.runInAsyncScope(this.#readChunk, this, socket, transport, chunk)
  }

  #readChunk (socket: ReadSocket, transport: Transport, arrived: Buffer): void {
    const state = socket[kReadState]
    if (state === 'over') return
    const bytes = state === null ? arrived : state.join(arrived)
    if (state !== null && state.isWaiting) {
      state.kept = bytes
      // ws or the inbox has resumed the transport too early.
      transport.pause()
      return
    }
    const chunk = new Chunk(bytes)
    let start = state === null ? 0 : this.#continueFrame(socket, state, chunk)
    while (start < bytes.length) {
      if (isWaiting(socket[kReadState]) || !header.read(bytes, start)) {
        this.#keep(socket, transport, bytes.subarray(start))
        return
      }
      const end = start + header.size + header.length
      const isWhole = end <= bytes.length
      if (!isWhole && this.#isInflated(socket)) {
        this.#unfinishedOf(socket, transport).kept = compact(bytes.subarray(start))
        return
      }
      const isTaken = isWhole && (this.#isOurs(socket)
        ? this.#take(socket, chunk, start)
        : this.#isInflated(socket) && this.#takeInflated(socket, chunk, start))
      start = isTaken ? end : this.#give(socket, transport, chunk, start)
    }
  }

  /** Keeps the beginning of a frame until more of it has arrived, or ws is ready for it. */
  #keep (socket: ReadSocket, transport: Transport, bytes: Buffer): void {
    const unfinished = this.#unfinishedOf(socket, transport)
    unfinished.kept = compact(bytes)
    const { isWaiting, fragments, given } = unfinished
    const { maxPayload, inflatesHere } = this.options
    const mayBeOurs = fragments === 0 && mayBeWhole(bytes, maxPayload, inflatesHere)
    if (isWaiting || mayBeOurs) return
    // ws gets the part already, because it can refuse a frame before its header is whole.
    unfinished.given = bytes.length
    giveToWs(socket, transport, Buffer.from(bytes.subarray(given)))
  }

  // --- Messages that are read here ---

  /** Whether the frame of `header`, which has arrived whole, can be delivered without ws. */
  #isOurs (socket: ReadSocket): boolean {
    const { maxPayload, isInTurns } = this.options
    if (isInTurns || !header.isWholeMessage || !header.isMasked) return false
    return !isOfWs(socket[kReadState]) && (header.length <= maxPayload || maxPayload === 0)
  }

  /** Delivers the message at `start`. False if it is not valid: then ws has to refuse it. */
  #take (socket: ReadSocket, chunk: Chunk, start: number): boolean {
    const { bytes } = chunk
    const payload = start + header.size
    const end = payload + header.length
    const isKnownAscii = unmask(chunk, payload, end, readKey(bytes, payload - KEY_SIZE))
    const isText = header.opcode === TEXT
    if (isText && this.#isTakenAsString(socket, chunk, payload, end, isKnownAscii)) {
      socket[kSettings].traffic.receive(header.length)
      deliverHere(socket, bytes.toString('latin1', payload, end), false)
      return true
    }
    const data = chunk.view(payload, end)
    return this.#deliver(socket, data, isText, isKnownAscii) || leaveToWs(bytes, payload)
  }

  /** Whether a text is ASCII, and all readers take it as a string. */
  #isTakenAsString (
    socket: ReadSocket, chunk: Chunk, payload: number, end: number, isKnownAscii: boolean
  ): boolean {
    // Of a short text, `unmask` knows it.
    if (!isKnownAscii && header.length < LONG_PAYLOAD) return false
    if (socket[kInbox] !== null || !this.options.takesText(socket)) return false
    return isKnownAscii || isAscii(chunk.view(payload, end))
  }

  /** Whether the message of `header` is inflated here, once it has arrived whole. */
  #isInflated (socket: ReadSocket): boolean {
    return isInflatedHere(header, this.options) && !isOfWs(socket[kReadState])
  }

  /** Delivers the compressed message at `start`. False if ws has to read it. */
  #takeInflated (socket: ReadSocket, chunk: Chunk, start: number): boolean {
    const payload = start + header.size
    const isText = header.opcode === TEXT
    const data = inflate(header, this.options, chunk, payload)
    return (data !== null && this.#deliver(socket, data, isText, false)) ||
      leaveToWs(chunk.bytes, payload)
  }

  /** False if the message is not valid. */
  #deliver (socket: ReadSocket, data: Buffer, isText: boolean, isKnownAscii: boolean): boolean {
    const needsCheck = isText && !isKnownAscii && !this.options.skipUTF8Validation
    if (needsCheck && !isUtf8(data)) return false
    socket[kSettings].traffic.receive(data.length)
    if (socket[kInbox] === null && demandOf(socket) === 'room') deliverHere(socket, data, !isText)
    else inboxOf(socket).receive(data, !isText)
    return true
  }

  // --- Frames that ws gets ---

  /** Gives ws the arrived part of the frame at `start`. Returns where the next frame begins. */
  #give (
    socket: ReadSocket, transport: Transport, chunk: Chunk, start: number
  ): number {
    const { bytes } = chunk
    const { first, isFinal, isMasked, size, length } = header
    if (!isMasked) {
      // ws refuses a frame without a mask. All chunks after this one are dropped.
      giveToWs(socket, transport, bytes.subarray(start + takeGiven(socket[kReadState])))
      stopReading(socket)
      return bytes.length
    }
    const payload = start + size
    const end = Math.min(payload + length, bytes.length)
    const given = takeGiven(socket[kReadState])
    // If ws has got a part of the header already, ws takes the mask off itself.
    const key = given > 0 ? 0 : readKey(bytes, payload - KEY_SIZE)
    if (given === 0) {
      unmask(chunk, payload, end, key)
      bytes.fill(0, payload - KEY_SIZE, payload)
    }
    const missing = payload + length - end
    if (missing > 0 || !isFinal) {
      const unfinished = this.#unfinishedOf(socket, transport)
      unfinished.missing = missing
      unfinished.key = turnKey(key, end - payload)
      unfinished.first = first
      if (!isFinal) unfinished.fragments++
    }
    const isShown = giveToWs(socket, transport, bytes.subarray(start + given, end))
    if (missing === 0) this.#onGiven(socket, transport, first, isShown)
    return socket[kReadState] === 'over' ? bytes.length : end
  }

  /** Gives ws the next part of a frame, if one is missing. Returns where the next frame begins. */
  #continueFrame (socket: ReadSocket, unfinished: Unfinished, chunk: Chunk): number {
    if (unfinished.missing === 0) return 0
    const { bytes } = chunk
    const { transport, first, key } = unfinished
    const end = Math.min(unfinished.missing, bytes.length)
    unmask(chunk, 0, end, key)
    unfinished.missing -= end
    unfinished.key = turnKey(key, end)
    const isShown = giveToWs(socket, transport, bytes.subarray(0, end))
    if (unfinished.missing === 0) this.#onGiven(socket, transport, first, isShown)
    return socket[kReadState] === 'over' ? bytes.length : end
  }

  /** ws has got a whole frame; `first` is the first byte of its header. */
  #onGiven (socket: ReadSocket, transport: Duplex, first: number, isShown: boolean): void {
    const { maxFragments, isDeferred } = this.options
    header.first = first
    const { isFinal, opcode } = header
    const state = socket[kReadState]
    if (state === 'over') return
    if (opcode === CLOSE) stopReading(socket)
    else if (!isFinal) {
      if (maxFragments > 0 && Number(state?.fragments) > maxFragments) stopReading(socket)
    } else if (!isShown && !isDeferred) stopReading(socket)
    else {
      if (state !== null && !isControl(opcode)) state.fragments = 0
      if (!isShown) this.#wait(socket, transport)
    }
  }

  #wait (socket: ReadSocket, transport: Duplex): void {
    this.#unfinishedOf(socket, transport).isWaiting = true
    transport.pause()
  }

  readOn (socket: ReadSocket, unfinished: Unfinished): void {
    // The cast is safe: a reader keeps only bytes of transports that it was attached to.
    const transport = unfinished.transport as Transport
    const kept = unfinished.takeKept()
    if (kept !== null) this.#read(transport, kept)
    if (!isWaiting(socket[kReadState]) && !socket.isPaused) transport.resume()
  }

  #unfinishedOf (socket: ReadSocket, transport: Duplex): Unfinished {
    const state = socket[kReadState]
    if (state instanceof Unfinished) return state
    transport.prependListener('end', onEnd)
    // When a transport with unread data is destroyed, ws reads that data past this class.
    transport.prependListener('close', this.#onClose)
    const unfinished = new Unfinished(transport)
    socket[kReadState] = unfinished
    return unfinished
  }
}

/** The bytes are unmasked now, so ws has to find a key of zeros. */
function leaveToWs (bytes: Buffer, payload: number): false {
  bytes.fill(0, payload - KEY_SIZE, payload)
  return false
}

/** The transport has ended: ws gets the kept bytes, as one chunk. */
function onEnd (this: Duplex): void {
  // The cast is safe: this listener is only on transports that have the symbol.
  const socket = (this as Transport)[kSocket]
  const state = socket[kReadState]
  stopReading(socket)
  if (!(state instanceof Unfinished)) return
  const kept = state.takeKept()
  if (kept !== null) giveToWs(socket, this, kept.subarray(state.given))
}
