/**
 * The raw request and the raw response of an upgrade over HTTP/2. Node.js makes both, for a request
 * of HTTP/2 with the method CONNECT. To Fastify and to the application they have to look like those
 * of HTTP/1: a GET without a body, and a response that may have the status 101.
 *
 * Node.js tells both of them when the stream closes. After the handshake that end belongs to the
 * WebSocket, so from then on they are muted: the events that Node.js emits on them are dropped.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { isConnectionHeader } from '../protocol/http-head'
import { SWITCHING } from './answer-state'
import { cutOff } from './http2-duplex'
import type { ResponseOwner } from './response'
import { kAnswer } from './symbols'

/** On a request and a response: the state that they share. */
const kPair = Symbol('fastify-websocket.pair')

/** The state of a request and its response. */
interface Pair {
  isSwitched: boolean
  /** Node.js is telling of the end of the stream. */
  isClosing: boolean
}

type AdaptedRequest = Http2ServerRequest & { [kPair]: Pair }

type AdaptedResponse = Http2ServerResponse & {
  [kPair]: Pair
  [kAnswer]: ResponseOwner
  /** The status is 101, which the class of Node.js does not allow. */
  is101: boolean
}

/**
 * Makes a request with the method CONNECT, and its response, look like those of HTTP/1. `owner`
 * decides about the writes to the response.
 */
export function adaptPair (
  request: Http2ServerRequest, response: Http2ServerResponse, owner: ResponseOwner
): void {
  const pair: Pair = { isSwitched: false, isClosing: false }
  adaptRequest(request, pair)
  adaptResponse(response, pair, owner)
}

function adaptRequest (request: Http2ServerRequest, pair: Pair): void {
  Object.assign(request, { [kPair]: pair, destroy: destroyRequest, emit: emitOfRequest })
  // The router has only GET routes. A plain assignment would change the headers of the request.
  Object.defineProperty(request, 'method', { ...PLAIN, value: 'GET' })
  // The bytes that arrive are frames, not a body. So the request ends, and no longer controls the
  // stream.
  request.removeAllListeners('pause')
  request.removeAllListeners('resume')
  request.push(null)
}

/** The attributes of a property that was assigned. */
const PLAIN = { configurable: true, enumerable: true, writable: true }

function adaptResponse (
  response: Http2ServerResponse, pair: Pair, owner: ResponseOwner
): void {
  Object.defineProperties(response, {
    statusCode: { configurable: true, enumerable: true, get: getStatus, set: setStatus },
    // HTTP/2 has no status message, and Node.js would warn.
    statusMessage: { ...PLAIN, value: '' }
  })
  Object.assign(response, {
    [kPair]: pair,
    [kAnswer]: owner,
    is101: false,
    setHeader,
    appendHeader,
    writeHead,
    write,
    end,
    destroy,
    emit: emitOfResponse
  })
}

/** Drops the events that Node.js emits on both when the stream closes, because ws has it. */
export function mute (request: Http2ServerRequest, response: Http2ServerResponse): void {
  // `adaptPair` has put it there.
  const { [kPair]: pair } = request as AdaptedRequest
  const { stream } = response
  pair.isSwitched = true
  // The listeners of Node.js run between these two.
  stream.prependListener('close', () => { pair.isClosing = true })
  stream.on('close', () => { pair.isClosing = false })
  Object.defineProperty(request, 'aborted', { ...PLAIN, value: false })
  Object.defineProperties(response, {
    finished: { ...PLAIN, value: true },
    writableEnded: { ...PLAIN, value: true }
  })
}

function emitOfRequest (
  this: AdaptedRequest, event: string | symbol, ...args: unknown[]
): boolean {
  const { isSwitched, isClosing } = this[kPair]
  if (isSwitched && (event === 'aborted' || (isClosing && event === 'close'))) return false
  return Reflect.apply(Http2ServerRequest.prototype.emit, this, [event, ...args])
}

function emitOfResponse (
  this: AdaptedResponse, event: string | symbol, ...args: unknown[]
): boolean {
  const { isSwitched, isClosing } = this[kPair]
  if (isSwitched && isClosing) return false
  return Reflect.apply(Http2ServerResponse.prototype.emit, this, [event, ...args])
}

// --- The methods of the response ---

function getStatus (this: AdaptedResponse): number {
  return this.is101 ? SWITCHING : Reflect.get(Http2ServerResponse.prototype, 'statusCode', this)
}

function setStatus (this: AdaptedResponse, status: number): void {
  this.is101 = status === SWITCHING
  if (!this.is101) Reflect.set(Http2ServerResponse.prototype, 'statusCode', status, this)
}

function setHeader (this: AdaptedResponse, name: string, value: number | string | string[]): void {
  if (!checkHeader(name, value)) return
  Http2ServerResponse.prototype.setHeader.call(this, name, value)
}

function appendHeader (this: AdaptedResponse, name: string, value: string | string[]): void {
  if (!checkHeader(name, value)) return
  Http2ServerResponse.prototype.appendHeader.call(this, name, value)
}

/**
 * False for a header that HTTP/2 forbids: Node.js would throw when the answer is written. Over
 * HTTP/2 it does not check values, and a line break would end the header in what ws writes.
 *
 * @throws ERR_INVALID_CHAR, ERR_INVALID_HTTP_TOKEN, ERR_HTTP_INVALID_HEADER_VALUE
 */
function checkHeader (name: string, value: unknown): boolean {
  validateHeaderName(name)
  // The type demands a text. Node.js checks any value as the text that it becomes.
  validateHeaderValue(name, value as string)
  return !isConnectionHeader(name)
}

function writeHead (this: AdaptedResponse, status: number, ...rest: unknown[]): AdaptedResponse {
  this[kAnswer].onWriteHead(status, rest)
  return this
}

function write (this: AdaptedResponse, ...args: unknown[]): boolean {
  if (!this[kAnswer].mayWrite() || this.stream.closed) return false
  if (!this.headersSent) this.writeHead(this.statusCode)
  // The owner may have answered with an error instead.
  if (this.writableEnded) return false
  return Reflect.apply(Http2ServerResponse.prototype.write, this, args)
}

function end (this: AdaptedResponse, ...args: unknown[]): AdaptedResponse {
  this[kAnswer].onEnd(args)
  return this
}

/**
 * Like that of a request of HTTP/1, it cuts the client off unless the request was read. The method
 * of Node.js leaves the stream open, and ends the process if it is given an error.
 */
function destroyRequest (this: AdaptedRequest): AdaptedRequest {
  if (!this.readableEnded) cutOff(this.stream)
  return this
}

/** Like that of a response of HTTP/1, it does nothing after the handshake. */
function destroy (this: AdaptedResponse): AdaptedResponse {
  if (!this[kPair].isSwitched) cutOff(this.stream)
  return this
}

/** Writes a head as any response does, without asking the owner. */
export function writeHeadOfStream (response: Http2ServerResponse, status: number): void {
  Reflect.apply(Http2ServerResponse.prototype.writeHead, response, [status])
}

/** Ends a response as any response does, without asking the owner. */
export function endOfStream (response: Http2ServerResponse, args: unknown[]): void {
  // No head is ever sent on it, so Node.js and the owner would ask each other for one.
  if (response.stream.closed) return
  if (!response.headersSent) response.writeHead(response.statusCode)
  // The owner may have answered with an error instead.
  if (response.writableEnded) return
  Reflect.apply(Http2ServerResponse.prototype.end, response, args)
}
