import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { headLength, upgradeRequest } from '../speed/exchanges.js'
import { answerQuestions } from '../lib/ipc.js'

const CONCURRENT_OPENINGS = 16

/** All readers read into it: what comes is only counted. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

const readers = []

answerQuestions({
  async open (port, count, stalled) {
    let opened = 0
    const open = async () => {
      while (opened < count) {
        if (opened++ < stalled) await openStalled(port)
        else await openReader(port)
      }
    }
    await Promise.all(Array.from({ length: CONCURRENT_OPENINGS }, open))
  },

  /** Resolves when every reader has got at least `bytes`. */
  async check (bytes) {
    while (readers.some(({ received }) => received < bytes)) {
      if (readers.some(({ isClosed }) => isClosed)) throw new Error('a reader was cut off')
      await delay(10)
    }
  }
})

/** Reads the head of the response and nothing else. */
async function openStalled (port) {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(upgradeRequest('/stalled'))
  const [head] = await once(socket, 'data')
  if (headLength(head) !== head.length) throw new Error('there is more than a head')
  socket.pause()
}

async function openReader (port) {
  const reader = { received: 0, isClosed: false }
  const callback = (length) => {
    reader.received += length
    return true
  }
  const socket = connect({ port, host: '127.0.0.1', onread: { buffer: READ_BUFFER, callback } })
  socket.on('close', () => { reader.isClosed = true })
  socket.write(upgradeRequest('/reader'))
  while (reader.received === 0) await delay(1)
  reader.received = 0
  readers.push(reader)
}
