/** The client of the benchmark of HTTP/2. A link is a socket, or a stream of HTTP/2. */

import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { BINARY, FrameCounter, maskedMessage } from '../lib/frames.js'
import { checkUpgrade, upgradeRequest } from '../lib/handshake.js'
import { answerQuestions } from '../lib/ipc.js'
import { connectTo } from '../lib/loopback.js'
import { openMany } from '../lib/open-many.js'

const HOST = '127.0.0.1'

/** How a soak ends its streams, in turns. */
const ENDS = [
  (stream) => { stream.end() },
  (stream) => { stream.close() },
  (stream) => { stream.write(maskedMessage(Buffer.of(0x03, 0xe8), 8)) },
  (stream) => { stream.destroy() }
]

/** Streams of a session in a soak. Node.js ends a session that resets more than 1000 at a time. */
const SESSION = 1000

let links = []
const sessions = []

answerQuestions({
  /** Opens connections. `isShared`: all of HTTP/2 on one session. */
  async open (port, { isHttp2, isShared, tls }, count) {
    links = []
    const shared = isShared ? await openSession(port, tls) : null
    await openMany(count, async () => {
      if (!isHttp2) links.push(await openSocket(port, tls))
      else links.push(await openStream(shared ?? await openSession(port, tls)))
    })
  },

  /** Sends `count` messages, of which `inFlight` are unanswered on each link. */
  run (count, inFlight, size) {
    const perLink = Math.ceil(count / links.length)
    return Promise.all(links.map((link) => exchange(link, perLink, inFlight, size)))
  },

  /** Opens and ends streams, `concurrency` at a time. */
  async soak (port, count, concurrency) {
    for (let done = 0; done < count; done += SESSION) {
      await soakSession(port, Math.min(SESSION, count - done), concurrency)
    }
  },

  close () {
    for (const session of sessions.splice(0)) session.destroy()
    for (const link of links.splice(0)) link.destroy()
  }
})

async function soakSession (port, count, concurrency) {
  const session = await openSession(port, null)
  let next = 0
  const work = async () => {
    while (next < count) {
      const end = ENDS[next++ % ENDS.length]
      const stream = await openStream(session)
      await exchange(stream, 1, 1, 32)
      end(stream)
      stream.resume()
      if (!stream.closed) await once(stream, 'close')
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  session.close()
  await once(session, 'close')
  sessions.splice(sessions.indexOf(session), 1)
}

async function openSession (port, tls) {
  const scheme = tls === null ? 'http' : 'https'
  const session = connectHttp2(`${scheme}://${HOST}:${port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  sessions.push(session)
  await once(session, 'remoteSettings')
  return session
}

async function openStream (session) {
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':path': '/echo',
    'sec-websocket-version': '13'
  }, { endStream: false })
  stream.on('error', () => {})
  const [{ ':status': status }] = await once(stream, 'response')
  if (status !== 200) throw new Error(`no upgrade: ${status}`)
  return stream
}

async function openSocket (port, tls) {
  const socket = tls === null
    ? connectTo(port)
    : connectTls({ port, host: HOST, rejectUnauthorized: false })
  socket.on('error', () => {})
  socket.write(upgradeRequest('/echo'))
  const [answer] = await once(socket, 'data')
  checkUpgrade(answer)
  return socket
}

/** Sends messages, each when an answer has come, and resolves when all are answered. */
function exchange (link, count, inFlight, size) {
  const message = maskedMessage(Buffer.alloc(size, 'x'))
  const counter = new FrameCounter(BINARY, { countsFrames: true })
  let sent = 0
  let answered = 0
  const send = (most) => {
    const messages = Math.min(most, count - sent)
    sent += messages
    if (messages > 0) link.write(Buffer.concat(Array(messages).fill(message)))
  }
  return new Promise((resolve) => {
    const onData = (chunk) => {
      const answers = counter.count(chunk)
      answered += answers
      send(answers)
      if (answered < count) return
      link.off('data', onData)
      resolve()
    }
    link.on('data', onData)
    send(inFlight)
  })
}
