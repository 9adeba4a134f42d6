/**
 * The types of the methods that add and remove listeners: listeners of the known events are typed,
 * and those of any other event are accepted.
 */
import type { EventEmitter } from 'node:events'
import type { Duplex, Readable } from 'node:stream'

/** A listener of any event, as EventEmitter takes it. */
export type Listener = Parameters<EventEmitter['on']>[1]

/** The known events of an emitter by their names, each with the arguments of its listeners. */
type EventMap<Events> = { [E in keyof Events]: unknown[] }

/** A listener of one event of `Events`. */
export type ListenerOf<Events extends EventMap<Events>, E extends keyof Events, Emitter> =
  (this: Emitter, ...args: Events[E]) => void

/** `on`, `once`, `off` and the like of an emitter. */
export interface ListenerMethod<Events extends EventMap<Events>, Emitter> {
  <E extends keyof Events>(event: E, listener: ListenerOf<Events, E, Emitter>): Emitter
  (event: string | symbol, listener: Listener): Emitter
}

/** The type of a chunk that is read from any Duplex. */
export type AnyChunk = ReturnType<Duplex['read']>

/** The events of a stream and what their listeners get. */
export interface StreamEvents<Incoming> {
  close: []
  data: [chunk: Incoming]
  drain: []
  end: []
  error: [error: Error]
  finish: []
  pause: []
  pipe: [source: Readable]
  readable: []
  resume: []
  unpipe: [source: Readable]
}

/** Events of the socket, for which a listener on the stream is a mistake. */
export type SocketOnlyEvent = 'message' | 'ping' | 'pong'

/** `once`, `off` and the like of a stream. */
export interface StreamListenerMethod<Incoming, Emitter> {
  <E extends keyof StreamEvents<Incoming>>(
    event: E, listener: ListenerOf<StreamEvents<Incoming>, E, Emitter>
  ): Emitter
  /** @deprecated A stream emits no such event. Listen on `connection.socket`. */
  (event: SocketOnlyEvent, listener: Listener): Emitter
  (event: string | symbol, listener: Listener): Emitter
}
