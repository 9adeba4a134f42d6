/** The clients of the benchmark of topics, on bare TCP sockets. They do not look at what comes. */

import { answerQuestions } from '../../lib/ipc.js'
import { openWebSocket, upgradeRequest } from '../../lib/handshake.js'
import { connectTo } from '../../lib/loopback.js'
import { openMany } from '../../lib/open-many.js'

/** One buffer for all, because the content of the messages is not looked at. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n'

answerQuestions({
  open: (port, count, isCompressed) => openMany(count, () => {
    return isCompressed ? openCompressed(port) : openPlain(port)
  })
})

async function openPlain (port) {
  const socket = await openWebSocket(port, '/')
  socket.resume()
}

/** Resolves when the handshake has arrived. */
function openCompressed (port) {
  return new Promise((resolve) => {
    const callback = () => {
      resolve()
      return true
    }
    const socket = connectTo(port, { onread: { buffer: READ_BUFFER, callback } })
    socket.write(String(upgradeRequest('/')).replace('\r\n\r\n', `\r\n${DEFLATE}\r\n`))
  })
}
