/** How a message gets to the readers of a connection: listeners of the socket, and its stream. */
import { EventEmitter } from 'node:events'
import { WebSocket } from 'ws'
import { toBinaryType, type BinaryMessage, type BinaryType } from './binary-type'
import type { ConnectionOwner } from './owner'
import type { StreamSettings } from './settings'
import { kAccept, kDemand, kOwner, kSettings, kStream } from './symbols'
import type { Demand } from './hold-or-drop'

/** The Duplex of a connection, as the WebSocket below it sees it. */
export interface StreamReader {
  readonly [kDemand]: Demand
  /** @param data null when the WebSocket is closed and has nothing more to give */
  [kAccept] (data: Buffer | string | null, isBinary: boolean): void
  destroy (error: Error): void
}

/** The parts of a connection's WebSocket that a delivery needs. */
export interface ReceivingSocket extends WebSocket {
  readonly [kStream]: StreamReader | null
  readonly [kOwner]: ConnectionOwner | null
  readonly [kSettings]: StreamSettings
}

/** What the readers of a connection want now. A stream that is being read sets the pace for all. */
export function demandOf (socket: ReceivingSocket): Demand {
  const demand = streamDemandOf(socket)
  if (demand !== 'none') return demand
  return socket.listenerCount('message') > 0 ? 'room' : 'none'
}

function streamDemandOf (socket: ReceivingSocket): Demand {
  return socket[kStream]?.[kDemand] ?? 'none'
}

/** Gives a message to all readers, on behalf of the owner, also if the stream is full. */
export function deliver (socket: ReceivingSocket, data: Buffer, isBinary: boolean): void {
  giveForOwner(socket, data, isBinary, streamDemandOf(socket))
}

/**
 * Gives a message to all readers, on behalf of the owner, if {@link demandOf} them is `room`.
 * Returns false if it is not: then nothing has happened.
 */
export function offer (socket: ReceivingSocket, data: Buffer, isBinary: boolean): boolean {
  const demand = streamDemandOf(socket)
  return demand !== 'full' && giveForOwner(socket, data, isBinary, demand)
}

/**
 * Like {@link offer}, for a caller that has entered the context of the owner already.
 *
 * @param data a string only for readers of which {@link takesText} is true
 */
export function offerHere (
  socket: ReceivingSocket, data: Buffer | string, isBinary: boolean
): boolean {
  const demand = streamDemandOf(socket)
  if (demand === 'full') return false
  const owner = socket[kOwner]
  if (owner === null) return give.call(socket, data, isBinary, demand)
  try {
    return give.call(socket, data, isBinary, demand)
  } catch (error) {
    owner.report(error)
    return true
  }
}

/** Whether all readers take a text message as a string, if there are any: no Buffer is needed. */
export function takesText (socket: ReceivingSocket): boolean {
  const demand = streamDemandOf(socket)
  if (demand === 'none') return true
  const isStreamAlone = socket.listenerCount('message') === 0 && !isEmitWrapped()
  return demand === 'room' && isStreamAlone && socket[kSettings].codec.takesText
}

/** Used instead of {@link takesText} where `message` listeners get text as Buffers. */
export function takesNoText (): boolean {
  return false
}

/**
 * Whether the `emit` of ws has been replaced, by a tracing agent for example. Then the replacement
 * must get each message, also one that only the stream reads.
 */
function isEmitWrapped (): boolean {
  return WebSocket.prototype.emit !== EventEmitter.prototype.emit
}

/** Returns true also if a reader has thrown. Then the owner, if there is one, has got the error. */
function giveForOwner (
  socket: ReceivingSocket, data: Buffer, isBinary: boolean, demand: Demand
): boolean {
  const owner = socket[kOwner]
  if (owner === null) return give.call(socket, data, isBinary, demand)
  // Like `callFor`, but without an array of arguments for each message.
  try {
    return owner.runInAsyncScope(give, socket, data, isBinary, demand)
  } catch (error) {
    owner.report(error)
    return true
  }
}

/**
 * Returns whether there was a reader.
 *
 * @param demand that of the stream
 */
function give (
  this: ReceivingSocket, data: Buffer | string, isBinary: boolean, demand: Demand
): boolean {
  if (demand === 'none') return giveToListeners(this, data, isBinary)
  try {
    if (this.listenerCount('message') > 0 || isEmitWrapped()) emitMessage(this, data, isBinary)
  } finally {
    this[kStream]?.[kAccept](data, isBinary)
  }
  return true
}

/** Returns whether there was a listener. `emit` says so: to count them before takes longer. */
function giveToListeners (
  socket: ReceivingSocket, data: Buffer | string, isBinary: boolean
): boolean {
  if (!isEmitWrapped()) return emitMessage(socket, data, isBinary)
  // A replaced `emit` may return nothing although it has called a listener.
  if (socket.listenerCount('message') === 0) return false
  emitMessage(socket, data, isBinary)
  return true
}

function emitMessage (
  socket: ReceivingSocket, data: Buffer | string, isBinary: boolean
): boolean {
  // Not the `emit` of the socket, which would receive the message once more.
  const { emit } = WebSocket.prototype
  return emit.call(socket, 'message', asListenersGetIt(socket, data, isBinary), isBinary)
}

function asListenersGetIt (
  socket: ReceivingSocket, data: Buffer | string, isBinary: boolean
): BinaryMessage | string {
  if (typeof data === 'string') return data
  // The types of ws lack 'blob'.
  return isBinary
    ? toBinaryType(data, socket.binaryType as BinaryType)
    : socket[kSettings].readText(data)
}
