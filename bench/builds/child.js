/** A process that compares two builds; see run.js. */

import { BINARY, maskedMessage, TEXT } from '../lib/frames.js'
import { checkUpgrade, openWebSocket } from '../lib/handshake.js'
import { answerQuestions } from '../lib/ipc.js'
import { startPeer } from '../peers/peers.js'
import { Transport } from './transport.js'

const PATH = '/echo'
const KEY_SIZE = 4

/** Rounds of each build before those that count. */
const WARM_UP_ROUNDS = 6

/**
 * Real connections before all rounds, each with some messages. After them, the code of Node.js has
 * met as many kinds of objects as in a real server, which V8 optimizes less.
 */
const REAL_CONNECTIONS = 40
const REAL_MESSAGES = 30

/** How much one round sends. */
const MESSAGES = 60_000
const BYTES = 40_000_000

answerQuestions({
  /**
   * Pairs of nanoseconds for a message, one of each build in the given order, for each round.
   *
   * @param work `frames` messages of `size` bytes arrive together, each time on the next of
   *   `connections`; they are `text`, or binary
   */
  async measure (builds, work, rounds) {
    const sides = []
    for (const build of builds) sides.push(await start(build, work))
    const pairs = []
    for (let i = 0; i < WARM_UP_ROUNDS + rounds; i++) {
      const pair = []
      // Every other round begins with the other build.
      for (const k of i % 2 === 0 ? [0, 1] : [1, 0]) pair[k] = await runRound(sides[k], work)
      if (i >= WARM_UP_ROUNDS) pairs.push(pair)
    }
    return pairs
  }
})

/** Starts the server of a build, with its connections, and makes the bytes that arrive together. */
async function start (build, { frames, size, text, connections }) {
  const server = await startPeer(build, { handler: text ? 'text' : 'echo' })
  const message = maskedMessage(Buffer.alloc(size, 'a'), text ? TEXT : BINARY)
  for (let i = 0; i < REAL_CONNECTIONS; i++) await exchange(server.address().port, message)
  const transports = Array.from({ length: connections }, () => new Transport())
  for (const transport of transports) transport.upgrade(server, PATH)
  await new Promise(setImmediate)
  for (const { head } of transports) checkUpgrade(head)
  return { transports, chunk: Buffer.concat(Array(frames).fill(message)) }
}

/** A real client that sends messages and waits for all answers. */
async function exchange (port, message) {
  const socket = await openWebSocket(port, PATH)
  let missing = REAL_MESSAGES * answerSize(message, 1)
  socket.write(Buffer.concat(Array(REAL_MESSAGES).fill(message)))
  for await (const { length } of socket) {
    missing -= length
    if (missing === 0) break
  }
  socket.destroy()
}

/** Returns the nanoseconds for a message. Throws unless all messages were answered. */
async function runRound ({ transports, chunk }, { frames }) {
  const messages = Math.min(MESSAGES, BYTES / chunk.length * frames)
  const chunks = Math.ceil(messages / frames)
  const before = countWritten(transports)
  const start = process.hrtime.bigint()
  for (let i = 0; i < chunks; i++) {
    // A copy, because the server takes the mask off in place.
    transports[i % transports.length].push(Buffer.from(chunk))
    await new Promise(setImmediate)
  }
  const elapsed = Number(process.hrtime.bigint() - start)
  const written = countWritten(transports) - before
  if (written !== chunks * answerSize(chunk, frames)) throw new Error('an answer is missing')
  return elapsed / (chunks * frames)
}

/** The answer to a message is the same frame, without a mask. */
function answerSize ({ length }, frames) {
  return length - frames * KEY_SIZE
}

function countWritten (transports) {
  return transports.reduce((sum, { written }) => sum + written, 0)
}
