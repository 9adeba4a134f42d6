// A chat: a page, the WebSocket behind it, and who is there. `npm start` runs it. With `REDIS_URL`
// or `NATS_URL`, as many processes as you start are one chat.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import fastifyWebsocket, { type StreamSocket } from 'fastify-websocket'
import { connectBroker } from '../broker'

const MAX_TEXT_LENGTH = 1000
/** A character of the text has at most three bytes. */
const MAX_PAYLOAD = 4 * 1024
/** Bytes that may wait for a client that does not read. */
const MAX_UNSENT = 1024 * 1024
const CLOSE_POLICY_VIOLATION = 1008
/** Topic of what everybody in the chat gets. */
const CHAT = 'chat'
/** Milliseconds. */
const TELL_INTERVAL = 5000

const PAGE = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/chat.css', file: 'chat.css', type: 'text/css; charset=utf-8' },
  { url: '/chat.js', file: 'chat.js', type: 'text/javascript; charset=utf-8' }
]

/** A name starts with a letter or a digit, and holds nothing that could pass for something else. */
const JOIN_SCHEMA = {
  querystring: {
    type: 'object',
    required: ['name'],
    properties: {
      name: { type: 'string', pattern: "^[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} ._'-]{0,23}$" }
    }
  }
}

type Event =
  | { type: 'welcome', name: string }
  | { type: 'people', names: string[], from?: string }
  | { type: 'text', name: string, text: string }

const fastify = Fastify({ logger: { level: 'warn' } })
const people = new Map<StreamSocket, string>()

/** Set where there are other processes: each of them tells who is there, again and again. */
let from: string | undefined

fastify.register(fastifyPlugin(async (fastify) => {
  const connected = await connectBroker()
  await fastify.register(fastifyWebsocket, {
    origin: 'same-host',
    maxBackpressure: MAX_UNSENT,
    options: { maxPayload: MAX_PAYLOAD },
    ...(connected && { broker: connected.broker })
  })
  if (connected === undefined) return
  from = randomUUID()
  const timer = setInterval(broadcastPeople, TELL_INTERVAL)
  fastify.addHook('onClose', async () => {
    clearInterval(timer)
    await connected.close()
  })
}))

for (const { url, file, type } of PAGE) {
  const body = readFileSync(join(__dirname, 'public', file))
  fastify.get(url, (request, reply) => {
    reply
      .type(type)
      .header('content-security-policy', "default-src 'self'; img-src data:")
      .header('cache-control', 'no-cache')
      .send(body)
  })
}

fastify.get<{ Querystring: { name: string } }>(
  '/chat', { websocket: true, schema: JOIN_SCHEMA }, ({ socket }, req, { query }) => {
    const name = makeUnique(query.name.trim())
    people.set(socket, name)
    socket.subscribe(CHAT)
    send(socket, { type: 'welcome', name })
    broadcastPeople()

    socket.on('message', (message) => {
      const text = typeof message === 'string' ? message.trim() : ''
      if (text !== '' && text.length <= MAX_TEXT_LENGTH) broadcast({ type: 'text', name, text })
      else socket.close(CLOSE_POLICY_VIOLATION, `text of 1 to ${MAX_TEXT_LENGTH} characters only`)
    })
    socket.on('close', () => {
      people.delete(socket)
      broadcastPeople()
    })
  })

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => fastify.close())

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then(
  (address) => { console.log(`Chat on ${address}`) },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  }
)

function makeUnique (wanted: string): string {
  const taken = new Set(people.values())
  let name = wanted
  for (let count = 2; taken.has(name); count++) name = `${wanted} ${count}`
  return name
}

function broadcastPeople (): void {
  broadcast({ type: 'people', names: [...people.values()], ...(from && { from }) })
}

function broadcast (event: Event): void {
  fastify.websocketServer.publish(CHAT, JSON.stringify(event))
}

function send (socket: StreamSocket, event: Event): void {
  socket.send(JSON.stringify(event))
}
