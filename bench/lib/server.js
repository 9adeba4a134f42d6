import { setTimeout as delay } from 'node:timers/promises'
import { answerQuestions } from './ipc.js'
import { startPeer } from './peers.js'

let server

answerQuestions({
  async start (peer, handler) {
    server = await startPeer(peer, handler)
    return server.address().port
  },

  /** CPU time of the process so far, in microseconds. */
  cpu () {
    const { user, system } = process.cpuUsage()
    return user + system
  },

  /** Bytes of heap and external memory that are in use; needs --expose-gc. */
  async memory () {
    // Twice, with a turn between, as finalizers run after a collection.
    globalThis.gc()
    await delay(100)
    globalThis.gc()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },

  /** Waits until every connection is gone. */
  async untilIdle () {
    while (await countConnections() > 0) await delay(10)
  }
})

function countConnections () {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => { error === null ? resolve(count) : reject(error) })
  })
}
