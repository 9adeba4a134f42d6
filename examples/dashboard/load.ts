// Clients that come, talk, go and are refused: something to see on the dashboard.
import { WebSocket } from 'ws'

const { ORIGIN = 'ws://127.0.0.1:3000' } = process.env

const FIRST_CLIENTS = 10
const MOST_CLIENTS = 60
/** Milliseconds. */
const STEP = 100
const LONGEST_STAY = 30_000

const CODES = [1000, 1000, 1000, 1001, 4000, 4001]

const start = Date.now()

for (let count = 0; count < FIRST_CLIENTS; count++) come()

setInterval(() => {
  // A wave of clients each minute.
  const wave = 0.6 - 0.4 * Math.cos((Date.now() - start) / 60_000 * 2 * Math.PI)
  if (Math.random() < wave * MOST_CLIENTS * STEP / (LONGEST_STAY / 2)) come()
  if (Math.random() < 0.03) comeTo('/private')
  if (Math.random() < 0.01) comeTo('/nothing')
}, STEP)

function comeTo (path: string): WebSocket {
  const socket = new WebSocket(ORIGIN + path)
  // That an upgrade is refused, or that the server has ended, is no news.
  socket.on('error', () => {})
  return socket
}

function come (): void {
  const isTalker = Math.random() < 0.6
  const socket = comeTo(isTalker ? '/echo' : '/clock')
  socket.on('open', () => {
    setTimeout(() => { leave(socket) }, Math.random() * LONGEST_STAY)
    if (!isTalker) return
    const talk = setInterval(() => { socket.send('x'.repeat(Math.random() * 200)) }, STEP)
    socket.on('close', () => { clearInterval(talk) })
  })
}

function leave (socket: WebSocket): void {
  if (Math.random() < 0.05) socket.terminate()
  else socket.close(CODES[Math.floor(Math.random() * CODES.length)])
}
