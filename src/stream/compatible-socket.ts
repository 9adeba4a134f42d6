import type { StreamSocket } from './socket'

/** Adds or removes a `message` listener, which gets text and binary data as Buffers. */
type BufferListenerMethod<Socket> = (
  event: 'message', listener: (this: Socket, data: Buffer, isBinary: boolean) => void
) => Socket

interface BufferListeners {
  on: BufferListenerMethod<this>
  once: BufferListenerMethod<this>
  off: BufferListenerMethod<this>
  addListener: BufferListenerMethod<this>
  removeListener: BufferListenerMethod<this>
  prependListener: BufferListenerMethod<this>
  prependOnceListener: BufferListenerMethod<this>
}

/**
 * The WebSocket in a registration with `compatible: '@fastify/websocket'`: a `StreamSocket` whose
 * `message` listeners get text as Buffers.
 */
export type CompatibleSocket = BufferListeners & StreamSocket
