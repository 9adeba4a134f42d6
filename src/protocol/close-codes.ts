/**
 * Close codes of RFC 6455 section 7.4.1 and of the IANA registry that this library sends or tells
 * apart, and the choice of the code for a connection that is destroyed.
 */
import { isAbort } from '../observe/thrown'

export const CLOSE_NORMAL = 1000
/** Sent to all clients when the application closes: see `connection/shutdown.ts`. */
export const CLOSE_GOING_AWAY = 1001
/** The peer has sent binary data where only text is taken. */
export const CLOSE_UNSUPPORTED_DATA = 1003
/** Never sent: it means that the connection was lost. */
export const CLOSE_ABNORMAL = 1006
/** The peer has sent data that is not of the type of its message, such as text that is no JSON. */
export const CLOSE_INVALID_DATA = 1007
/** The peer has sent a message that the application does not allow. */
export const CLOSE_POLICY_VIOLATION = 1008
export const CLOSE_INTERNAL_ERROR = 1011
/** Sent to a client that is too far behind: see `stream/outbox.ts`. */
export const CLOSE_TRY_AGAIN_LATER = 1013

/**
 * The close code of a connection that is destroyed: 1011 for an error of the application; 1000 for
 * no error, and for the error of a reader that has only stopped reading.
 */
export function closeCodeFor (error: Error | null): number {
  return error === null || isAbort(error) ? CLOSE_NORMAL : CLOSE_INTERNAL_ERROR
}
