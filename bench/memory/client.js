import { once } from 'node:events'
import { connect } from 'node:net'
import { upgradeRequest } from '../speed/exchanges.js'
import { maskedFrame } from '../lib/frames.js'
import { answerQuestions } from '../lib/ipc.js'

const BATCH = 256 * 1024

answerQuestions({
  /** Sends `total` bytes of messages as fast as they are taken; resolves with the seconds. */
  async send (port, total, messageSize) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('close', () => { throw new Error('the server has closed the connection') })
    socket.write(upgradeRequest('/'))
    await once(socket, 'data')

    const frame = maskedFrame(Buffer.alloc(messageSize))
    const messages = Math.max(1, Math.floor(BATCH / messageSize))
    const batch = Buffer.concat(Array(messages).fill(frame))
    const start = performance.now()
    for (let sent = 0; sent < total; sent += messages * messageSize) {
      if (!socket.write(batch)) await once(socket, 'drain')
    }
    return (performance.now() - start) / 1000
  }
})
