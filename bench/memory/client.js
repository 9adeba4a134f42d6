import { once } from 'node:events'
import { maskedMessage } from '../lib/frames.js'
import { openWebSocket } from '../lib/handshake.js'
import { answerQuestions } from '../lib/ipc.js'

/** Bytes of messages in one write. */
const BATCH = 256 * 1024

answerQuestions({
  /** Sends `total` bytes of messages as fast as the server reads; resolves with the seconds. */
  async send (port, total, messageSize) {
    const socket = await openWebSocket(port, '/')
    socket.on('close', () => { throw new Error('the server has closed the connection') })

    const frame = maskedMessage(Buffer.alloc(messageSize))
    const messages = Math.max(1, Math.floor(BATCH / messageSize))
    const batch = Buffer.concat(Array(messages).fill(frame))
    const start = performance.now()
    for (let sent = 0; sent < total; sent += messages * messageSize) {
      if (!socket.write(batch)) await once(socket, 'drain')
    }
    return (performance.now() - start) / 1000
  }
})
