/**
 * The WebSocket server of Bun, which is written in C++. It has handlers of its own: Bun has one for
 * all connections of a server, and its socket is no EventEmitter.
 */

/* global Bun */

import { REPLIES } from './handlers.js'

const handlers = {
  echo (socket, data) {
    socket.send(data)
  },

  /** Bun gives a text message as a string. */
  text (socket, data) {
    socket.send(data)
  },

  replies (socket, data) {
    for (let i = 0; i < REPLIES; i++) socket.send(data)
  }
}

export async function start (handler, { perMessageDeflate }) {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch (request, bun) {
      if (!bun.upgrade(request)) return new Response(null, { status: 400 })
    },
    websocket: { message: handlers[handler], perMessageDeflate, idleTimeout: 0 }
  })
  return { address: () => ({ port: server.port }) }
}
