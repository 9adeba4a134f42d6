import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A documented channel of Node.js: a response of an HTTP server has been sent. */
const RESPONSE_FINISH = 'http.server.response.finish'

/** Who waits for the earlier responses on a socket to be sent. */
const waiting = new Map<Duplex, () => void>()

/** Node.js leaves the raw socket of an upgrade without listeners: a reset would be thrown. */
export function guard (transport: Duplex): void {
  transport.on('error', ignore)
}

/** Another one looks after the socket. */
export function unguard (transport: Duplex): void {
  transport.off('error', ignore)
}

/** `close` follows and is what counts. */
function ignore (): void {}

/**
 * Gives a response its socket. False while a response to an earlier, pipelined request has it:
 * responses leave in the order of their requests.
 */
export function occupy (transport: Duplex, response: ServerResponse): boolean {
  try {
    // An exception from public API: Node.js documents the class, not how to make one and to give
    // it a socket, which is what an HTTP server does for every response.
    response.assignSocket(transport as Socket)
    return true
  } catch {
    return false
  }
}

/** Takes the socket from a response, for what comes next on it. */
export function vacate (transport: Duplex, response: ServerResponse): void {
  // Node.js takes any Duplex; its types say Socket.
  response.detachSocket(transport as Socket)
}

/** Calls back when the response that has the socket is done with it, unless the socket closes. */
export function onceVacant (transport: Duplex, callback: () => void): void {
  if (waiting.size === 0) subscribe(RESPONSE_FINISH, onResponseFinish)
  waiting.set(transport, callback)
  transport.once('close', onTransportClose)
}

function onResponseFinish (message: unknown): void {
  // The documented shape of the message.
  const { response, socket } = message as { response: ServerResponse, socket: Duplex }
  const callback = waiting.get(socket)
  if (callback === undefined) return
  stopWaiting(socket)
  // The response still has the socket; it gives it back before it says `close`.
  response.once('close', callback)
}

function onTransportClose (this: Duplex): void {
  stopWaiting(this)
}

function stopWaiting (transport: Duplex): void {
  transport.off('close', onTransportClose)
  waiting.delete(transport)
  if (waiting.size === 0) unsubscribe(RESPONSE_FINISH, onResponseFinish)
}
