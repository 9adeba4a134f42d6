import { createServer } from 'node:net'
import { tcpListeners } from '../lib/handlers.js'
import { listen } from './listen.js'

export async function start (handler) {
  return await listen(createServer({ noDelay: true }, tcpListeners[handler]))
}
