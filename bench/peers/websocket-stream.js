import { createServer } from 'node:http'
import websocketStream from '@httptoolkit/websocket-stream'
import { listen } from '../lib/loopback.js'
import { listeners } from './handlers.js'

export async function start (handler, options) {
  const server = createServer()
  websocketStream.createServer({ ...options, server, perMessageDeflate: false }, (stream) => {
    stream.on('error', () => {})
    if (handler === 'pipe') stream.pipe(stream)
    else listeners[handler](stream.socket)
  })
  return await listen(server)
}
