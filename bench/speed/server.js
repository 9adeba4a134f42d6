import { answerQuestions } from '../lib/ipc.js'
import { untilIdle } from '../lib/loopback.js'
import { collectGarbage, readMemory } from '../lib/memory.js'
import { startPeer } from '../peers/peers.js'

let server

answerQuestions({
  async start (peer, work) {
    server = await startPeer(peer, work)
    return server.address().port
  },

  /** CPU time of the process so far, user and system, in microseconds. */
  cpu () {
    const { user, system } = process.cpuUsage()
    return user + system
  },

  /** Collects all garbage, where the runtime lets a program do that. */
  async collect () {
    if (globalThis.gc !== undefined) await collectGarbage()
  },

  /** Bytes of heap and external memory that are in use. */
  async memory () {
    await collectGarbage()
    return readMemory().used
  },

  untilIdle: () => untilIdle(server)
})
