/** The errors of the stream, in one table, and functions that tell of which kind an error is. */
import createError from '@fastify/error'
import { cutReason } from '../protocol/close-reason'
import { codeOf } from '../observe/thrown'
import { describe } from '../observe/described'

// --- Bad use, thrown by constructors ---

/**
 * An option has a value of the wrong type or out of range.
 * Arguments: the name, the valid values in words, the value.
 */
export class InvalidOptionError extends createError<[name: string, wanted: string, got: string]>(
  'FST_WS_INVALID_OPTION', 'invalid option %s: %s is expected, got %s', 500, TypeError) {
  constructor (name: string, wanted: string, value: unknown) {
    super(name, wanted, describe(value))
  }
}

/** An option of ws that the plugin cannot have. Arguments: where it stands, the reason. */
export const UnsupportedOptionError = createError<[path: string, reason: string]>(
  'FST_WS_UNSUPPORTED_OPTION', 'option %s is not supported: %s', 500, TypeError)

// --- Running connections ---

/**
 * The connection is gone without a close frame (close code 1006). The error has no stack, because
 * no code of the application has caused it, and a thousand lost connections should cost nothing.
 */
export const AbnormalCloseError = createError(
  'FST_WS_ABNORMAL_CLOSE', 'the connection was lost without a close frame', 0, Error, false)

/** The peer is silent and does not answer pings. Arguments: for how many milliseconds. */
export const UnresponsiveError = createError<[milliseconds: number]>(
  'FST_WS_UNRESPONSIVE', 'the peer has not answered a ping for %d ms', 0, Error, false)

/** The peer reads more slowly than messages are sent to it. Arguments: the limit in bytes. */
export const BackpressureError = createError<[bytes: number]>(
  'FST_WS_BACKPRESSURE', 'more than %d bytes are still unsent to the peer', 0, Error, false)

/**
 * The peer does not take the data that was sent before the close frame. Arguments: the milliseconds
 * that it had.
 */
export const CloseTimeoutError = createError<[milliseconds: number]>(
  'FST_WS_CLOSE_TIMEOUT',
  'the peer has not taken what was sent before the close for %d ms, and the rest is lost',
  0, Error, false)

/** The connection has ended before all that was sent had left the process. */
export const UnsentError = createError(
  'FST_WS_UNSENT', 'the connection has ended before all was sent', 0, Error, false)

/** Something was written to a connection that is closing or closed. */
export const NotOpenError = createError(
  'FST_WS_NOT_OPEN', 'the connection is not open', 0)

/** A chunk of a type that cannot be sent. Arguments: its type. */
export const InvalidChunkError = createError<[type: string]>(
  'FST_WS_INVALID_CHUNK',
  'a chunk must be a string, a Buffer, a TypedArray, a DataView or an ArrayBuffer, got %s',
  0, TypeError)

/** Data of a type that cannot be published. Arguments: its type. */
export const InvalidTopicDataError = createError<[type: string]>(
  'FST_WS_INVALID_CHUNK', 'what is published must be a string or a Uint8Array, got %s',
  0, TypeError)

/** What {@link InvalidMessageError} has in addition to its text. */
export interface InvalidMessageDetails {
  /** The faults that the validator found, if it gave a list. */
  readonly validation?: readonly unknown[]
  readonly cause?: unknown
}

/**
 * A message that the stream cannot take, so that it is not delivered. A stream that is destroyed
 * with this error closes its connection with `closeCode`, and with the message of the error as
 * reason. The error has no stack, because no code of the application has caused it.
 * Arguments: close code, text, details.
 */
export class InvalidMessageError extends createError<[text: string, options?: { cause: unknown }]>(
  'FST_WS_INVALID_MESSAGE', '%s', 400, Error, false) {
  readonly closeCode: number

  constructor (
    closeCode: number, text: string, { validation, cause }: InvalidMessageDetails = {}
  ) {
    super(text, ...(cause === undefined ? [] : [{ cause }]))
    this.closeCode = closeCode
    // The types of Fastify do not know this value.
    Object.assign(this, { validationContext: 'message' })
    // A peer decides how long the list is. Loggers write only what is enumerable.
    Object.defineProperty(this, 'validation', { value: validation, writable: true })
  }

  /** The message of the error, cut to what a close frame holds. */
  get closeReason (): string {
    return cutReason(this.message)
  }
}

/** A value that cannot become a message. Arguments: the reason. */
export const InvalidValueError = createError<[reason: string, options?: { cause: unknown }]>(
  'FST_WS_INVALID_VALUE', 'the value cannot be sent: %s', 0, TypeError)

/** Messages without a reader were dropped. Arguments: the bound in bytes. */
export const UnreadOverflowError = createError<[bytes: number]>(
  'FST_WS_UNREAD_OVERFLOW',
  'more than %d bytes of messages wait without a reader: ' +
  'they and the next messages are dropped until a reader comes', 0)

/** Codes of this package, of the system and of Node.js streams that mean: the peer is gone. */
const DISCONNECT_CODES = new Set<unknown>([
  'FST_WS_ABNORMAL_CLOSE', 'FST_WS_NOT_OPEN', 'FST_WS_UNRESPONSIVE', 'FST_WS_UNSENT',
  'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ECANCELED', 'ETIMEDOUT',
  'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END', 'ERR_STREAM_PREMATURE_CLOSE'
])

/** Whether an error only says that the peer has gone. */
export function isDisconnect (error: unknown): boolean {
  return DISCONNECT_CODES.has(codeOf(error))
}

/**
 * Codes of faults of a peer that do not come from ws. zlib gives `Z_DATA_ERROR` for a message
 * that cannot be inflated.
 */
const PEER_FAULTS = new Set<string>([
  'FST_WS_BACKPRESSURE', 'FST_WS_CLOSE_TIMEOUT', 'FST_WS_INVALID_MESSAGE', 'Z_DATA_ERROR'
])

/** Whether a peer has broken the protocol or a limit; ws names those errors `WS_ERR_…`. */
export function isProtocolError (error: unknown): boolean {
  const code = codeOf(error)
  return typeof code === 'string' && (code.startsWith('WS_ERR_') || PEER_FAULTS.has(code))
}

/** Whether ws has refused a frame. Nothing more is read of the connection then. */
export function isRefusedFrame (error: unknown): boolean {
  const code = codeOf(error)
  return typeof code === 'string' && (code.startsWith('WS_ERR_') || code === 'Z_DATA_ERROR')
}

/** Whether a connection ends because its peer is gone or has sent what ws refuses. */
export function isEndByPeer (error: unknown): boolean {
  return isDisconnect(error) || isRefusedFrame(error)
}

/** Whether a peer has sent a longer message than it may. */
export function isOversizeError (error: unknown): boolean {
  return codeOf(error) === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
}
