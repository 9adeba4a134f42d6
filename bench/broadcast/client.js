/**
 * The clients of the broadcast, all in one process, on bare TCP sockets. A reader counts the bytes
 * that come and does not parse them. A stalled client reads the handshake and then nothing.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { openWebSocket, upgradeRequest } from '../lib/handshake.js'
import { answerQuestions } from '../lib/ipc.js'
import { connectTo } from '../lib/loopback.js'
import { openMany } from '../lib/open-many.js'

/** One buffer for all readers, because the content of the messages is not looked at. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

const readers = []

answerQuestions({
  /** Opens `count` clients, of which the first `stalled` are the stalled ones. */
  open: (port, count, stalled) => openMany(count, (index) => {
    return index < stalled ? openStalled(port) : openReader(port)
  }),

  /** Resolves when every reader has received at least `bytes`. */
  async check (bytes) {
    while (readers.some(({ received }) => received < bytes)) {
      if (readers.some(({ isClosed }) => isClosed)) throw new Error('a reader was cut off')
      await delay(10)
    }
  }
})

async function openStalled (port) {
  const socket = await openWebSocket(port, '/stalled')
  // The server cuts this client off, perhaps with a reset.
  socket.on('error', () => {})
  socket.pause()
}

async function openReader (port) {
  const reader = { received: 0, isClosed: false }
  const callback = (length) => {
    reader.received += length
    return true
  }
  const socket = connectTo(port, { onread: { buffer: READ_BUFFER, callback } })
  socket.on('close', () => { reader.isClosed = true })
  socket.write(upgradeRequest('/reader'))
  while (reader.received === 0) await delay(1)
  reader.received = 0
  readers.push(reader)
}
