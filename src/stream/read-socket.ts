/** The types by which `frame-reader.ts` knows a connection: its options, socket and transport. */
import type { Duplex } from 'node:stream'
import type { InboxSocket } from './inbox'
import type { kReadState } from './symbols'
import type { ReadState, Unfinished } from './unfinished'

/** The limits of the messages of a server's connections, and how ws emits messages. */
export interface ReadingOptions {
  /** Bytes of the longest message; 0 means no limit. */
  readonly maxPayload: number
  /** Maximum number of frames in a message; 0 means no limit. */
  readonly maxFragments: number
  readonly skipUTF8Validation: boolean
  /** Whether the readers of a socket take text as a string, so that no Buffer is needed. */
  readonly takesText: (socket: ReadSocket) => boolean
  /** ws may emit messages later than it gets them. */
  readonly isDeferred: boolean
  /** ws emits each message in a turn of its own, so that all of them go through ws. */
  readonly isInTurns: boolean
  /** Short compressed messages are inflated here, and not by ws. */
  readonly inflatesHere: boolean
}

/** Whether messages have the same limits, and go through ws for the same reasons. */
export function areEqual (one: ReadingOptions, other: ReadingOptions): boolean {
  return one.maxPayload === other.maxPayload && one.maxFragments === other.maxFragments &&
    one.skipUTF8Validation === other.skipUTF8Validation && one.isDeferred === other.isDeferred &&
    one.isInTurns === other.isInTurns && one.inflatesHere === other.inflatesHere
}

/** The reader of a socket's frames. */
export interface SocketReader {
  /** ws has shown the frame that it got last: reads the bytes that were kept since. */
  readOn (socket: ReadSocket, unfinished: Unfinished): void
  /** The connection is closed. */
  detach (transport: Duplex): void
}

/** The WebSocket of a connection, as the reader of its frames sees it. */
export interface ReadSocket extends InboxSocket {
  [kReadState]: ReadState
}

/** On a transport: the socket whose frames it brings. */
export const kSocket = Symbol('fastify-websocket.socket')

/** On a transport: the reader of its frames. A transport that ws reads has none. */
export const kReader = Symbol('fastify-websocket.reader')

/** A transport whose frames are read here. */
export type Transport = Duplex & { [kSocket]: ReadSocket, [kReader]: SocketReader }

/** The connection of a transport is closed: its reader, if it has one, leaves it. */
export function detachReader (transport: Duplex & { [kReader]?: SocketReader }): void {
  transport[kReader]?.detach(transport)
}
