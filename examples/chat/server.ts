// A chat: a page, the WebSocket behind it, and who is there. `npm start` runs it. With `REDIS_URL`
// or `NATS_URL`, as many processes as you start are one chat.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import fastifyWebsocket, { type SocketStream } from 'fastify-websocket'
import { connectBroker } from '../broker'

const MAX_TEXT_LENGTH = 1000
/** A character of the text has at most twelve bytes in JSON. */
const MAX_PAYLOAD = 16 * 1024
/** Bytes that may wait for a client that does not read. */
const MAX_UNSENT = 1024 * 1024
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
const JoinSchema = Type.Object({
  name: Type.String({ pattern: "^[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} ._'-]{0,23}$" })
})

/** What a person says: not only blanks. */
const MessageSchema = Type.Object({
  text: Type.String({ maxLength: MAX_TEXT_LENGTH, pattern: '\\S' })
})
type Message = Static<typeof MessageSchema>

/** What the people in the chat are told. */
const EventSchema = Type.Union([
  Type.Object({ type: Type.Literal('welcome'), name: Type.String() }),
  Type.Object({
    type: Type.Literal('people'),
    names: Type.Array(Type.String()),
    from: Type.Optional(Type.String())
  }),
  Type.Object({ type: Type.Literal('text'), name: Type.String(), text: Type.String() })
])
type Event = Static<typeof EventSchema>

const fastify = Fastify({ logger: { level: 'warn' } }).withTypeProvider<TypeBoxTypeProvider>()
const people = new Map<SocketStream<Message, Event>, string>()

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

fastify.get('/chat', {
  websocket: true,
  schema: { querystring: JoinSchema, incoming: MessageSchema, outgoing: EventSchema }
}, (connection, req, { query }) => {
  const name = makeUnique(query.name.trim())
  people.set(connection, name)
  connection.socket.subscribe(CHAT)
  connection.write({ type: 'welcome', name })
  broadcastPeople()

  connection.on('data', ({ text }) => {
    broadcast({ type: 'text', name, text: text.trim() })
  })
  connection.on('close', () => {
    people.delete(connection)
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
