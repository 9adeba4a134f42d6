/**
 * The handlers of the works, the same for every peer: `listeners` for a WebSocket of ws,
 * `tcpListeners` for a TCP socket, which sends back the same number of bytes without parsing.
 */

export const REPLIES = 20

export const listeners = {
  echo (socket) {
    socket.on('message', (data, isBinary) => { socket.send(data, { binary: isBinary }) })
  },

  /** As applications do with text: the bytes become a string, and a string is sent. */
  text (socket) {
    socket.on('message', (data) => { socket.send(data.toString()) })
  },

  /** A message is parsed and serialized, and nothing checks it. */
  json (socket) {
    socket.on('message', (data) => {
      const { type, room, text } = JSON.parse(data)
      socket.send(JSON.stringify({ type, room, text }))
    })
  },

  replies (socket) {
    socket.on('message', (data, isBinary) => {
      for (let i = 0; i < REPLIES; i++) socket.send(data, { binary: isBinary })
    })
  }
}

export const tcpListeners = {
  echo: sendBack,

  text: sendBack,

  pipe (socket) {
    socket.pipe(socket)
  },

  replies (socket) {
    socket.on('data', (data) => { socket.write(Buffer.concat(Array(REPLIES).fill(data))) })
  }
}

function sendBack (socket) {
  socket.on('data', (data) => { socket.write(data) })
}
