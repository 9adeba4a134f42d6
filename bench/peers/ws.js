import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { listeners } from '../lib/handlers.js'
import { listen } from './listen.js'

export async function start (handler) {
  const server = createServer()
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', listeners[handler])
  return await listen(server)
}
