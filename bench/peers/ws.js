import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { listen } from '../lib/loopback.js'
import { listeners } from './handlers.js'

export async function start (handler, { perMessageDeflate }) {
  const server = createServer()
  new WebSocketServer({ server, perMessageDeflate }).on('connection', listeners[handler])
  return await listen(server)
}
