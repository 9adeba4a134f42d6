/**
 * The ways in which a connection of the soak ends. The first group is ended by a client of ws, the
 * second by a client on a bare TCP socket, and the third by the server: see its handlers in
 * server.js, which the paths name.
 */

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { maskedMessage } from '../lib/frames.js'
import { openWebSocket } from '../lib/handshake.js'

const MESSAGE = Buffer.alloc(1000, 'message ')
const LONG_MESSAGE = Buffer.alloc(16 * 1024, 'message ')
const UNREAD_MESSAGES = 8
const FRAME = maskedMessage(MESSAGE)
const HALF_FRAME = FRAME.subarray(0, FRAME.length / 2)
const UNMASKED_FRAME = Buffer.of(0x82, 1, 1)

const COMPRESSED = { perMessageDeflate: true }
const PLAIN = { perMessageDeflate: false }

/** Each function opens a connection, and resolves when the connection has ended in that way. */
export const ends = {
  'client closes': (port) => visit(port, '/echo', close),
  'client closes without a code': (port) => visit(port, '/echo', (socket) => { socket.close() }),
  'client closes with a code': (port) => visit(port, '/echo', (socket) => {
    socket.close(4000, 'bye')
  }),
  'client closes, compressed': (port) => visit(port, '/echo', close, COMPRESSED),
  'client closes, piped': (port) => visit(port, '/pipe', close),
  'client closes, piped and compressed': (port) => visit(port, '/pipe', close, COMPRESSED),
  'client closes, unread': (port) => visitUnread(port),
  'client terminates': (port) => visit(port, '/echo', terminate),
  'client terminates, piped': (port) => visit(port, '/pipe', terminate),
  'client terminates, compressed': (port) => visit(port, '/pipe', terminate, COMPRESSED),

  'client resets': (port) => visitRaw(port, '/echo', (tcp) => { tcp.resetAndDestroy() }),
  'client resets, piped': (port) => visitRaw(port, '/pipe', (tcp) => { tcp.resetAndDestroy() }),
  'client resets amid a message': (port) => visitRaw(port, '/echo', (tcp) => {
    tcp.write(HALF_FRAME, () => { tcp.resetAndDestroy() })
  }),
  'client ends without a close frame': (port) => visitRaw(port, '/echo', (tcp) => { tcp.end() }),
  'client ends amid a message': (port) => visitRaw(port, '/pipe', (tcp) => { tcp.end(HALF_FRAME) }),
  'client breaks the protocol': (port) => visitRaw(port, '/echo', (tcp) => {
    tcp.end(UNMASKED_FRAME)
  }),

  'connection.end()': (port) => visit(port, '/end', wait),
  'connection.destroy()': (port) => visit(port, '/destroy', wait),
  'connection.destroy(error)': (port) => visit(port, '/destroy-error', wait),
  'connection.socket.close()': (port) => visit(port, '/close', wait),
  'connection.socket.terminate()': (port) => visit(port, '/terminate', wait),
  'leaving for await': (port) => visit(port, '/leaves', wait),
  'handler throws': (port) => visit(port, '/throws', wait),
  'handler rejects': (port) => visit(port, '/rejects', wait),
  'listener throws': (port) => visit(port, '/listener-throws', wait),
  'refused by a hook': (port) => visit(port, '/refused', wait),
  'refused without a route': (port) => visit(port, '/nowhere', wait)
}

function close (socket) {
  socket.close(1000)
}

function terminate (socket) {
  socket.terminate()
}

/** Leaves the end of the connection to the server. */
function wait () {}

/** Sends a message, and calls `leave` when the first message of the server has come. */
async function visit (port, path, leave, options = PLAIN) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options)
  socket.on('error', () => {})
  socket.once('open', () => { socket.send(MESSAGE) })
  socket.once('message', () => { leave(socket) })
  await closed(socket)
}

async function visitUnread (port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/never-reads`, PLAIN)
  socket.on('error', () => {})
  socket.once('open', () => {
    for (let i = 0; i < UNREAD_MESSAGES; i++) socket.send(LONG_MESSAGE)
    socket.close()
  })
  await closed(socket)
}

async function visitRaw (port, path, leave) {
  const tcp = await openWebSocket(port, path)
  tcp.on('error', () => {})
  const gone = closed(tcp)
  tcp.write(FRAME)
  await once(tcp, 'data')
  leave(tcp)
  tcp.resume()
  await gone
}

/** `once` of node:events would reject if an `error` event comes before `close`. */
function closed (emitter) {
  return new Promise((resolve) => { emitter.once('close', resolve) })
}
