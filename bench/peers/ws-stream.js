import { createServer } from 'node:http'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { listen } from '../lib/loopback.js'

export async function start () {
  const server = createServer()
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
    const stream = createWebSocketStream(socket)
    stream.on('error', () => {})
    stream.pipe(stream)
  })
  return await listen(server)
}
