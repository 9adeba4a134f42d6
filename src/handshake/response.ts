/**
 * The raw response to an upgrade, which Fastify and the application write to. It is a
 * `ServerResponse` whose `writeHead`, `write` and `end` ask an owner first, because a 101 has to
 * become the handshake and a second answer has to be dropped. The owner is the `UpgradeAnswer`.
 */
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { FastifyBaseLogger } from 'fastify'
import { logError } from '../observe/log'
import { nextTick } from '../stream/next-tick'
import { kAnswer } from './symbols'

/** The object that decides about the writes to a response. */
export interface ResponseOwner {
  /** `rest` are the arguments after the status: a reason or none, and headers or none. */
  onWriteHead (statusCode: number, rest: readonly unknown[]): void
  /** Whether a part of the body may be written now. */
  mayWrite (): boolean
  onEnd (args: unknown[]): void
}

interface OwnedResponse extends ServerResponse {
  [kAnswer]: ResponseOwner
  writeHead (this: OwnedResponse, statusCode: number, ...rest: unknown[]): this
  write (this: OwnedResponse, ...args: unknown[]): boolean
  end (this: OwnedResponse, ...args: unknown[]): this
}

/** A response whose head may have been written by ws: then it counts as sent. */
class UpgradeResponse extends ServerResponse {}

// By the types of Node.js `headersSent` is no accessor, so the class cannot override it.
Object.defineProperty(UpgradeResponse.prototype, 'headersSent', {
  get (this: UpgradeResponse): boolean {
    return this.finished || Reflect.get(ServerResponse.prototype, 'headersSent', this)
  }
})

/** A response to a request, whose writes `owner` decides about. */
export function createResponse (request: IncomingMessage, owner: ResponseOwner): ServerResponse {
  // The types of Node.js know neither the symbol nor methods that take any arguments.
  const response = new UpgradeResponse(request) as OwnedResponse
  response[kAnswer] = owner
  // Express changes the prototype of a response, so these methods are own properties. They are
  // assigned, because after `Object.defineProperty` V8 would treat the response as a slow object.
  response.writeHead = writeHead
  response.write = write
  response.end = end
  response.on('error', noop)
  return response
}

function writeHead (this: OwnedResponse, statusCode: number, ...rest: unknown[]): OwnedResponse {
  this[kAnswer].onWriteHead(statusCode, rest)
  return this
}

function write (this: OwnedResponse, ...args: unknown[]): boolean {
  if (!this[kAnswer].mayWrite()) return false
  return Reflect.apply(ServerResponse.prototype.write, this, args)
}

function end (this: OwnedResponse, ...args: unknown[]): OwnedResponse {
  this[kAnswer].onEnd(args)
  return this
}

function noop (): void {}

/** Writes a head as any response does, without asking the owner. */
export function writeHeadOf (response: ServerResponse, statusCode: number): void {
  ServerResponse.prototype.writeHead.call(response, statusCode)
}

/** Ends a response as any response does, without asking the owner. */
export function endOf (response: ServerResponse, args: unknown[]): void {
  Reflect.apply(ServerResponse.prototype.end, response, args)
}

/**
 * Marks a response as finished although ws has written its head: Node.js cannot notice by itself.
 * Its `close` event follows on the next tick.
 */
export function markFinished (response: ServerResponse): void {
  // An exception from public API: Node.js documents how to read this property, not to set it.
  response.finished = true
  // Express changes the prototype of a response.
  if (!response.headersSent) Object.defineProperty(response, 'headersSent', { value: true })
  closeSoon(response)
}

/** Emits `finish`, and logs what a listener of the application throws. */
export function emitFinish (response: ServerResponse, log: FastifyBaseLogger | undefined): void {
  try {
    response.emit('finish')
  } catch (error) {
    // The connection is open all the same.
    if (log !== undefined) logError(log, 'error', error, 'websocket response listener failed')
  }
}

/** Emits `close` on the next tick: as for any response, that event follows `finish`. */
export function closeSoon (response: ServerResponse): void {
  nextTick(emitClose, response)
}

function emitClose (response: ServerResponse): void {
  response.emit('close')
}
