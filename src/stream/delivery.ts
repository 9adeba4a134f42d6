/** How a message gets to the readers of a connection: listeners of the socket, and its stream. */
import { EventEmitter } from 'node:events'
import { WebSocket } from 'ws'
import { toBinaryType, type BinaryType } from './binary-type'
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
  const demand = socket[kStream]?.[kDemand] ?? 'none'
  if (demand !== 'none') return demand
  return socket.listenerCount('message') > 0 ? 'room' : 'none'
}

/** Gives a message to all readers, on behalf of the owner. */
export function deliver (socket: ReceivingSocket, data: Buffer, isBinary: boolean): void {
  const owner = socket[kOwner]
  if (owner === null) {
    give.call(socket, data, isBinary)
    return
  }
  // Like `callFor`, but without an array of arguments for each message.
  try {
    owner.runInAsyncScope(give, socket, data, isBinary)
  } catch (error) {
    owner.report(error)
  }
}

/**
 * Like {@link deliver}, for a caller that has entered the context of the owner already.
 *
 * @param data a string only for readers of which {@link takesText} is true
 */
export function deliverHere (
  socket: ReceivingSocket, data: Buffer | string, isBinary: boolean
): void {
  const owner = socket[kOwner]
  if (owner === null) {
    give.call(socket, data, isBinary)
    return
  }
  try {
    give.call(socket, data, isBinary)
  } catch (error) {
    owner.report(error)
  }
}

/** Whether all readers take a text message as a string, so that no Buffer is needed. */
export function takesText (socket: ReceivingSocket): boolean {
  const demand = socket[kStream]?.[kDemand] ?? 'none'
  const hasListener = socket.listenerCount('message') > 0
  if (demand === 'none') return hasListener
  const isStreamAlone = demand === 'room' && !hasListener && !isEmitWrapped()
  return isStreamAlone && socket[kSettings].codec.takesText
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

function give (this: ReceivingSocket, data: Buffer | string, isBinary: boolean): void {
  const reader = this[kStream]
  const isReading = reader !== null && reader[kDemand] !== 'none'
  if (typeof data === 'string') {
    // By `takesText`, the stream reads alone, or it is not read and there are listeners. `emit`
    // cannot say which: a replaced one may return nothing.
    if (isReading) reader[kAccept](data, isBinary)
    else WebSocket.prototype.emit.call(this, 'message', data, isBinary)
    return
  }
  try {
    // If the stream is not read, there are listeners: without a reader nothing is delivered.
    if (!isReading || this.listenerCount('message') > 0 || isEmitWrapped()) {
      // The types of ws lack 'blob'.
      const type = this.binaryType as BinaryType
      const message = isBinary ? toBinaryType(data, type) : this[kSettings].readText(data)
      // Not the `emit` of the socket, which would receive the message once more.
      WebSocket.prototype.emit.call(this, 'message', message, isBinary)
    }
  } finally {
    if (isReading) reader[kAccept](data, isBinary)
  }
}
