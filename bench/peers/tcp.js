import { createServer } from 'node:net'
import { listen } from '../lib/loopback.js'
import { tcpListeners } from './handlers.js'

export async function start (handler) {
  return await listen(createServer({ noDelay: true }, tcpListeners[handler]))
}
