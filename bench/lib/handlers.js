const REPLIES = 20

/** Listeners of a ws WebSocket, the same for every peer. */
export const listeners = {
  echo (socket) {
    socket.on('message', (data, isBinary) => { socket.send(data, { binary: isBinary }) })
  },

  replies (socket) {
    socket.on('message', (data, isBinary) => {
      for (let i = 0; i < REPLIES; i++) socket.send(data, { binary: isBinary })
    })
  }
}

/** The same work on a TCP socket, where a message is whatever comes in one piece. */
export const tcpListeners = {
  echo (socket) {
    socket.on('data', (data) => { socket.write(data) })
  },

  pipe (socket) {
    socket.pipe(socket)
  },

  replies (socket) {
    socket.on('data', (data) => { socket.write(Buffer.concat(Array(REPLIES).fill(data))) })
  }
}
