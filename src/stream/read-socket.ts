/** What is to be known of a connection to read its frames: its options, socket and transport. */
import type { Duplex } from 'node:stream'
import type { InboxSocket } from './inbox'
import type { kReadState } from './symbols'
import type { ReadState, Unfinished } from './unfinished'

/** What the messages of a server's connections may be, and how ws gives them. */
export interface ReadingOptions {
  /** Bytes of the longest message; 0 is no limit. */
  readonly maxPayload: number
  /** Frames of a message; 0 is no limit. */
  readonly maxFragments: number
  readonly skipUTF8Validation: boolean
  /** Whether the readers of a socket take text that need not be bytes. */
  readonly takesText: (socket: ReadSocket) => boolean
  /** ws emits messages later than it gets them. */
  readonly isDeferred: boolean
}

/** The reader of a socket's frames. */
export interface SocketReader {
  /** ws has shown the frame that it had got: reads what has been kept since. */
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
