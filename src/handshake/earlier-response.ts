/**
 * Tells when a response has finished on a socket. An upgrade may be pipelined behind other
 * requests, and has to wait for their responses. Node.js emits no event on the socket for this, but
 * it has a diagnostics channel that tells of every response in the process.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** A documented channel of Node.js: a response of an HTTP server has been sent. */
const RESPONSE_FINISH = 'http.server.response.finish'

/** The sockets that wait for the end of a response, and what to call then. */
const waiting = new Map<Duplex, Array<() => void>>()

/** Calls back when the response that has the socket is done with it, unless the socket closes. */
export function onceVacant (socket: Duplex, callback: () => void): void {
  if (waiting.size === 0) subscribe(RESPONSE_FINISH, onResponseFinish)
  const callbacks = waiting.get(socket)
  if (callbacks !== undefined) {
    callbacks.push(callback)
    return
  }
  waiting.set(socket, [callback])
  socket.once('close', onSocketClose)
}

function onResponseFinish (message: unknown): void {
  // The documented shape of the message.
  const { response, socket } = message as { response: ServerResponse, socket: Duplex }
  const callbacks = waiting.get(socket)
  if (callbacks === undefined) return
  stopWaiting(socket)
  // The response still has the socket. It gives the socket back before it emits `close`.
  for (const callback of callbacks) response.once('close', callback)
}

function onSocketClose (this: Duplex): void {
  stopWaiting(this)
}

function stopWaiting (socket: Duplex): void {
  socket.off('close', onSocketClose)
  waiting.delete(socket)
  if (waiting.size === 0) unsubscribe(RESPONSE_FINISH, onResponseFinish)
}
