/**
 * Reads the frames of a connection where they have arrived, in front of ws. A whole short message,
 * which most frames are, goes to the inbox without ws. All other frames go to ws, unmasked and with
 * a key of zeros, which spares ws the unmasking; ws checks, joins and refuses them.
 *
 * | after                              | the next bytes are                  | until        |
 * |------------------------------------|-------------------------------------|--------------|
 * | a whole frame                      | a frame: read here, or given to ws  |              |
 * | a part of a header                 | the rest of it; the part is kept    | the header   |
 * | a part of a frame that ws gets     | the rest of it, given to ws         | its end      |
 * | a frame without FIN                | frames that are all given to ws     | ws's message |
 * | a close frame, or a refused frame  | dropped                             | the end      |
 *
 * ws tells only on the next tick that it refuses a frame, and what follows in the chunk must not be
 * delivered. But each final frame that ws takes shows itself at once, by `message`, `ping` or
 * `pong`. So a final frame that does not was refused.
 */
import { isUtf8 } from 'node:buffer'
import type { Duplex } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { CLOSE, FrameHeader, isControl, KEY_SIZE, TEXT } from '../protocol/frame-header'
import { readKey, turnKey, unmask, wordsOf } from '../protocol/mask'
import { compact } from './compact'
import { deliverHere, demandOf, takesText } from './delivery'
import { inboxOf, type InboxSocket } from './inbox'
import { kInbox, kOutbox, kOwner, kReader, kUnfinished } from './symbols'

/** What the messages of a server's connections may be. */
export interface MessageLimits {
  /** Bytes of the longest message; 0 is no limit. */
  readonly maxPayload: number
  /** Frames of a message; 0 is no limit. */
  readonly maxFragments: number
  readonly skipUTF8Validation: boolean
  /** ws emits messages later than it gets them, because it inflates them for example. */
  readonly isDeferred: boolean
}

/** What is left of one chunk for the next one. */
export interface Unfinished {
  /** Bytes from the beginning of a frame on: a part of its header, or what has to wait for ws. */
  kept: Buffer | null
  /** Bytes that are missing of the payload of a frame that ws gets. */
  missing: number
  /** The key for these bytes. */
  key: number
  /** The first byte of the header of this frame. */
  first: number
  /** Frames of a message that ws has got, without the last one. */
  fragments: number
  /** ws has got a final frame, and has not shown it yet. */
  isWaiting: boolean
  /** Nothing more is read. */
  readonly isOver: boolean
}

/** The WebSocket of a connection, as the reader of its frames sees it. */
export interface ReadSocket extends InboxSocket {
  readonly [kOutbox]: { readonly transport: Duplex | null }
  [kReader]: FrameReader | null
  [kUnfinished]: Unfinished | null
}

/** On a transport: the socket whose frames it brings. */
const kSocket = Symbol('fastify-websocket.socket')

type Transport = Duplex & { [kSocket]: ReadSocket }
type DataListener = (this: Duplex, chunk: Buffer) => void

const NOTHING: Unfinished = {
  kept: null, missing: 0, key: 0, first: 0, fragments: 0, isWaiting: false, isOver: false
}
const OVER: Unfinished = { ...NOTHING, isOver: true }

/** One header for all frames: none is needed any more when the next one is read. */
const header = new FrameHeader()

/** The listener that ws adds for `data`, the same for all transports; null until it is known. */
let listenerOfWs: DataListener | null = null

/** The socket whose final frame ws has got, until the frame shows itself. */
let awaited: ReadSocket | null = null

/** ws has emitted a message, a ping or a pong of a socket. */
export function onShown (socket: ReadSocket): void {
  if (awaited === socket) awaited = null
  const unfinished = socket[kUnfinished]
  if (unfinished === null || !unfinished.isWaiting) return
  unfinished.isWaiting = false
  // When ws has finished with the frame.
  process.nextTick(readOn, socket)
}

function readOn (socket: ReadSocket): void {
  socket[kReader]?.readOn(socket)
}

/** ws has refused a frame of a socket, or the socket has ended: what still comes is dropped. */
export function stopReading (socket: ReadSocket): void {
  socket[kUnfinished] = OVER
}

/** Reads the frames of a server's connections; see the header of this file. */
export class FrameReader {
  readonly #limits: MessageLimits
  readonly #onData: DataListener
  readonly #onEnd: (this: Duplex) => void
  readonly #onClose: (this: Duplex) => void

  constructor (limits: MessageLimits) {
    this.#limits = limits
    const read = (transport: Duplex, chunk: Buffer): void => {
      this.#read(transport as Transport, chunk)
    }
    this.#onData = function (chunk) { read(this, chunk) }
    this.#onEnd = function () { giveKept(this as Transport) }
    this.#onClose = function () {
      const rest: Buffer | null = this.read()
      if (rest !== null) read(this, rest)
      giveKept(this as Transport)
    }
  }

  hasLimits (limits: MessageLimits): boolean {
    return isDeepStrictEqual(limits, this.#limits)
  }

  /**
   * Takes the frames of a connection from ws, whose listener for `data` must be the only one: where
   * another library has its own, ws reads on.
   */
  attach (socket: ReadSocket, transport: Duplex): void {
    // The type of `listeners` knows no arguments.
    const [listener, ...others] = transport.listeners('data') as DataListener[]
    if (listener === undefined || others.length > 0) return
    listenerOfWs ??= listener
    if (listener !== listenerOfWs) return
    socket[kReader] = this
    Object.assign(transport, { [kSocket]: socket })
    transport.on('data', this.#onData)
    transport.off('data', listener)
  }

  /** The connection is closed. */
  detach (transport: Duplex): void {
    transport.off('data', this.#onData)
    transport.off('end', this.#onEnd)
    transport.off('close', this.#onClose)
  }

  #read (transport: Transport, chunk: Buffer): void {
    const socket = transport[kSocket]
    const owner = socket[kOwner]
    // Once for all messages of the chunk.
    if (owner === null) this.#readChunk(socket, transport, chunk)
    else owner.runInAsyncScope(this.#readChunk, this, socket, transport, chunk)
  }

  #readChunk (socket: ReadSocket, transport: Transport, chunk: Buffer): void {
    let bytes = chunk
    let start = 0
    const unfinished = socket[kUnfinished]
    if (unfinished !== null) {
      if (unfinished.isOver) return
      bytes = joinKept(unfinished, chunk)
      if (unfinished.isWaiting) {
        unfinished.kept = bytes
        // It was resumed by ws, or by the inbox.
        transport.pause()
        return
      }
      start = this.#continueFrame(socket, transport, unfinished, bytes)
    }
    const words = wordsOf(bytes)
    while (start < bytes.length) {
      if (socket[kUnfinished]?.isWaiting === true || !header.read(bytes, start)) {
        this.#unfinishedOf(socket, transport).kept = compact(bytes.subarray(start))
        return
      }
      const end = start + header.size + header.length
      start = end <= bytes.length && this.#isOurs(socket) && this.#take(socket, bytes, words, start)
        ? end
        : this.#give(socket, transport, bytes, words, start)
    }
  }

  /** Whether the frame of `header`, which has arrived whole, can be delivered without ws. */
  #isOurs (socket: ReadSocket): boolean {
    const { maxPayload, isDeferred } = this.#limits
    if (isDeferred || !header.isWholeMessage || !header.isMasked) return false
    const { fragments } = socket[kUnfinished] ?? NOTHING
    return fragments === 0 && (header.length <= maxPayload || maxPayload === 0)
  }

  /** Delivers the message at `start`. False if it is not valid: then ws is to refuse it. */
  #take (socket: ReadSocket, bytes: Buffer, words: Int32Array, start: number): boolean {
    const payload = start + header.size
    const end = payload + header.length
    const isAscii = unmask(bytes, words, payload, end, readKey(bytes, payload - KEY_SIZE))
    if (header.opcode !== TEXT) {
      receive(socket, bytes.subarray(payload, end), true)
      return true
    }
    if (isAscii && socket[kInbox] === null && takesText(socket)) {
      deliverHere(socket, bytes.toString('latin1', payload, end), false)
      return true
    }
    const text = bytes.subarray(payload, end)
    if (!isAscii && !this.#limits.skipUTF8Validation && !isUtf8(text)) {
      // It is without its mask now.
      bytes.fill(0, payload - KEY_SIZE, payload)
      return false
    }
    receive(socket, text, false)
    return true
  }

  /**
   * Gives ws the frame at `start`, or the part of it that has arrived. Returns where the next one
   * begins.
   */
  #give (
    socket: ReadSocket, transport: Transport, bytes: Buffer, words: Int32Array, start: number
  ): number {
    const { first, isFinal, isMasked, size, length } = header
    if (!isMasked) {
      // ws refuses it, and needs no more of the chunk for that.
      stopReading(socket)
      giveTo(transport, bytes.subarray(start))
      return bytes.length
    }
    const payload = start + size
    const end = Math.min(payload + length, bytes.length)
    const key = readKey(bytes, payload - KEY_SIZE)
    unmask(bytes, words, payload, end, key)
    bytes.fill(0, payload - KEY_SIZE, payload)
    const missing = payload + length - end
    if (missing > 0 || !isFinal) {
      const unfinished = this.#unfinishedOf(socket, transport)
      unfinished.missing = missing
      unfinished.key = turnKey(key, end - payload)
      unfinished.first = first
      if (!isFinal) unfinished.fragments++
    }
    return this.#giveFrame(socket, transport, bytes.subarray(start, end), first, missing === 0)
      ? end
      : bytes.length
  }

  /** Gives ws the next part of a frame, if one is missing. Returns where the next frame begins. */
  #continueFrame (
    socket: ReadSocket, transport: Transport, unfinished: Unfinished, bytes: Buffer
  ): number {
    if (unfinished.missing === 0) return 0
    const end = Math.min(unfinished.missing, bytes.length)
    unmask(bytes, wordsOf(bytes), 0, end, unfinished.key)
    unfinished.missing -= end
    unfinished.key = turnKey(unfinished.key, end)
    const part = end === bytes.length ? bytes : bytes.subarray(0, end)
    return this.#giveFrame(socket, transport, part, unfinished.first, unfinished.missing === 0)
      ? end
      : bytes.length
  }

  /**
   * Gives ws a frame, or a part of one. Returns whether more may follow.
   *
   * @param first the first byte of the header of the frame
   */
  #giveFrame (
    socket: ReadSocket, transport: Transport, bytes: Buffer, first: number, isLast: boolean
  ): boolean {
    header.first = first
    const { isFinal, opcode } = header
    const isShown = giveAndLook(socket, transport, bytes)
    const unfinished = socket[kUnfinished]
    if (unfinished?.isOver === true) return false
    if (!isLast) return true
    if (isFinal && opcode !== CLOSE) return this.#onFinalFrame(socket, transport, opcode, isShown)
    const { maxFragments } = this.#limits
    const isOver = opcode === CLOSE ||
      (maxFragments > 0 && unfinished !== null && unfinished.fragments > maxFragments)
    if (isOver) stopReading(socket)
    return !isOver
  }

  /** ws has got a final frame. Returns whether more may follow. */
  #onFinalFrame (
    socket: ReadSocket, transport: Transport, opcode: number, isShown: boolean
  ): boolean {
    if (!isShown && !this.#limits.isDeferred) {
      stopReading(socket)
      return false
    }
    if (isShown && socket[kUnfinished] === null) return true
    const unfinished = this.#unfinishedOf(socket, transport)
    if (!isControl(opcode)) unfinished.fragments = 0
    if (isShown) return true
    // Chunks that are queued in ws behind a frame that it then refuses would end the process.
    unfinished.isWaiting = true
    transport.pause()
    return true
  }

  /** ws has shown the frame that it had got: reads what has been kept since. */
  readOn (socket: ReadSocket): void {
    const { transport } = socket[kOutbox]
    const unfinished = socket[kUnfinished]
    if (transport === null || unfinished === null) return
    const { kept } = unfinished
    if (kept !== null && !unfinished.isOver) {
      unfinished.kept = null
      this.#read(transport as Transport, kept)
    }
    if (socket[kUnfinished]?.isWaiting !== true && !socket.isPaused) transport.resume()
  }

  #unfinishedOf (socket: ReadSocket, transport: Transport): Unfinished {
    const known = socket[kUnfinished]
    if (known !== null) return known
    transport.prependListener('end', this.#onEnd)
    // When a transport with unread data is destroyed, ws reads that data past this class.
    transport.prependListener('close', this.#onClose)
    const unfinished = { ...NOTHING }
    socket[kUnfinished] = unfinished
    return unfinished
  }
}

function receive (socket: ReadSocket, data: Buffer, isBinary: boolean): void {
  if (socket[kInbox] === null && demandOf(socket) === 'room') deliverHere(socket, data, isBinary)
  else inboxOf(socket).receive(data, isBinary)
}

/** Gives ws bytes that its own listener would have got. */
function giveTo (transport: Transport, bytes: Buffer): void {
  // It is known, because a transport that is read has had it.
  listenerOfWs?.call(transport, bytes)
}

/** Gives ws bytes. Returns whether it has emitted a message, a ping or a pong meanwhile. */
function giveAndLook (socket: ReadSocket, transport: Transport, bytes: Buffer): boolean {
  const earlier = awaited
  awaited = socket
  giveTo(transport, bytes)
  const isShown = awaited !== socket
  awaited = earlier
  return isShown
}

/** The transport has ended: ws gets what is left, as one chunk. */
function giveKept (transport: Transport): void {
  const socket = transport[kSocket]
  const { kept, isOver } = socket[kUnfinished] ?? NOTHING
  if (isOver) return
  stopReading(socket)
  if (kept !== null) giveTo(transport, kept)
}

function joinKept (unfinished: Unfinished, chunk: Buffer): Buffer {
  const { kept } = unfinished
  unfinished.kept = null
  return kept === null ? chunk : Buffer.concat([kept, chunk])
}
