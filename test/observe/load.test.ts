// What 200 clients know of themselves, over real sockets, is what `stats()` says of all of them.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { ClientOptions } from 'ws'
import type fastifyWebsocket from '../../src/index'
import { connect, ping, refused, type Client } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { until } from '../helpers/streams'

const CLIENTS = 200
/** What a subscriber gets last. */
const LAST = 'topic: the last'

type Stats = fastifyWebsocket.WebsocketStats

/** The numbers that the clients add to, as `stats()` is to have them. */
type Known = Omit<Stats, 'refused'> & { refused: Map<string, number> }

/** What is known of all connections that have ended, and what the channel of ends tells of them. */
type Sums = Pick<
  fastifyWebsocket.CloseMessage,
  'messagesReceived' | 'messagesSent' | 'frameBytesReceived' | 'frameBytesSent'
> & { ends: number }

function createKnown (): Known {
  return {
    open: 0,
    accepted: 0,
    refused: new Map(),
    closed: {},
    unresponsive: 0,
    tooSlow: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    messagesSent: 0,
    bytesSent: 0,
    messagesDropped: 0,
    delivered: 0,
    messagesWaiting: 0,
    published: 0,
    skipped: 0,
    subscriptions: 0,
    gaps: 0
  }
}

// --- The application ---

function declare (fastify: FastifyInstance): void {
  fastify.addHook('onRequest', async ({ url }) => {
    if (url !== '/secret') return
    throw Object.assign(new Error('no user'), { code: 'NO_USER', statusCode: 401 })
  })
  fastify.get('/secret', { websocket: true }, () => {})
  fastify.get('/unread', { websocket: true }, () => {})
  for (const path of ['/plain', '/topic']) {
    fastify.get(path, { websocket: true }, (connection) => {
      const { socket } = connection
      if (path === '/topic') socket.subscribe('topic')
      socket.on('message', (message, isBinary) => {
        if (message === 'close') socket.close(4999)
        else if (isBinary) connection.write(message)
        else answer(socket, String(message))
      })
    })
  }
}

type Socket = Parameters<fastifyWebsocket.WebsocketHandler>[0]['socket']

function answer (socket: Socket, text: string): void {
  if (text.startsWith('topic: ')) socket.publish('topic', text)
  socket.send(text.replace('topic', 'echo'))
}

// --- The clients ---

/** What the client with a number sends, one after the other. */
function messagesOf (number: number): Array<string | Buffer> {
  const kinds = [
    '', 'short', 'д'.repeat(number), Buffer.from('bytes'), Buffer.alloc(20_000, number),
    'long '.repeat(2_000), `topic: ${number}`
  ]
  return kinds.slice(number % kinds.length).concat('the end')
}

/** Sends a message, whole or in two fragments. */
function send ({ socket }: Client, message: string | Buffer, isWhole: boolean): void {
  const half = message.length / 2
  if (isWhole) {
    socket.send(message)
    return
  }
  socket.send(message.slice(0, half), { fin: false })
  socket.send(message.slice(half), { fin: true })
}

interface Bytes { sent: number, received: number }

/** What the socket of a client has counted. */
function bytesOf ({ transport }: Client): Bytes {
  return { sent: transport?.bytesWritten ?? 0, received: transport?.bytesRead ?? 0 }
}

/** A client: it talks, and adds what it has sent and got to what is known. */
class Talker {
  readonly client: Client
  readonly #number: number
  readonly #known: Known
  /** Whether no listener of the handler reads what it sends. */
  readonly #isUnread: boolean
  /** What was counted when the handshake was done. */
  readonly #handshake: Bytes
  #unread = 0

  constructor (client: Client, number: number, known: Known) {
    this.client = client
    this.#number = number
    this.#known = known
    this.#isUnread = pathOf(number) === '/unread'
    this.#handshake = bytesOf(client)
  }

  /** What the socket of the client has counted since the handshake. */
  get frameBytes (): Bytes {
    const { sent, received } = bytesOf(this.client)
    return { sent: sent - this.#handshake.sent, received: received - this.#handshake.received }
  }

  async talk (): Promise<void> {
    if (this.#isUnread) {
      await this.#sendUnread()
      return
    }
    for (const [index, message] of messagesOf(this.#number).entries()) {
      send(this.client, message, (index + this.#number) % 3 > 0)
      this.#known.messagesReceived++
      this.#known.bytesReceived += Buffer.byteLength(message)
      if (String(message).startsWith('topic: ')) this.#known.published++
    }
    await this.#readUntil('the end')
  }

  async #sendUnread (): Promise<void> {
    for (const text of ['one', 'two', 'three'].slice(this.#number % 3)) {
      this.client.send(text)
      this.#known.messagesReceived++
      this.#known.bytesReceived += text.length
      this.#known.messagesWaiting++
      this.#unread++
    }
    await ping(this.client)
  }

  async readTopic (): Promise<void> {
    await this.#readUntil(LAST)
  }

  async #readUntil (last: string): Promise<void> {
    for (let text = ''; text !== last;) {
      const message = await this.client.next()
      text = message.text
      this.#known.messagesSent++
      this.#known.bytesSent += message.data.length
      if (text.startsWith('topic: ')) this.#known.delivered++
    }
  }

  /** Ends the connection in one of five ways. */
  async end (): Promise<void> {
    const { client } = this
    const ways: Array<[code: number, end: () => void]> = [
      [1000, () => { client.close(1000) }],
      [1005, () => { client.close() }],
      [1006, () => { client.socket.terminate() }],
      [4000 + this.#number, () => { client.close(4000 + this.#number, 'mine') }],
      [4999, () => { this.#ask() }]
    ]
    // A handler without a listener is not asked.
    const count = this.#isUnread ? ways.length - 1 : ways.length
    const [code, end] = ways[this.#number % count] ?? [0, () => {}]
    end()
    await client.closed
    this.#known.messagesWaiting -= this.#unread
    this.#known.messagesDropped += this.#unread
    this.#known.closed[code] = (this.#known.closed[code] ?? 0) + 1
  }

  /** Asks the handler to close. */
  #ask (): void {
    this.client.send('close')
    this.#known.messagesReceived++
    this.#known.bytesReceived += 'close'.length
  }
}

/** Upgrades that are refused: where, how, and with which code. */
const REFUSALS: Array<[path: string, options: ClientOptions, code: string]> = [
  ['/nowhere', {}, '404 null'],
  ['/secret', {}, '401 NO_USER'],
  ['/plain', { origin: 'https://example.com' }, '403 FST_WS_ORIGIN_NOT_ALLOWED']
]

async function tryInVain (t: Test, origin: string, number: number, known: Known): Promise<void> {
  const [path, options, key] = REFUSALS[number % REFUSALS.length] ?? ['', {}, '']
  const { statusCode } = await refused(t, `${origin}${path}`, options)
  t.equal(statusCode, parseInt(key))
  known.refused.set(key, (known.refused.get(key) ?? 0) + 1)
}

function pathOf (number: number): string {
  if (number % 4 === 0) return '/topic'
  return number % 10 === 1 ? '/unread' : '/plain'
}

async function join (t: Test, origin: string, number: number, known: Known): Promise<Talker> {
  const path = pathOf(number)
  const client = await connect(t, `${origin}${path}`, { perMessageDeflate: number % 2 === 0 })
  known.accepted++
  if (path === '/topic') known.subscriptions++
  return new Talker(client, number, known)
}

/** `stats()` in the form of what is known. */
function read ({ websocketServer }: FastifyInstance): Known {
  const { refused, ...stats } = websocketServer.stats()
  const entries = refused.map(({ statusCode, code, count }) => {
    return [`${statusCode} ${code}`, count] as const
  })
  return { ...stats, refused: new Map(entries) }
}

// --- The tests ---

/** What the channel of ends tells, added up. */
function listen (t: Test): Sums {
  const sums = createSums()
  const onMessage = (message: unknown): void => {
    // The types of the channel do not know its messages.
    const end = message as fastifyWebsocket.CloseMessage
    sums.ends++
    sums.messagesReceived += end.messagesReceived
    sums.messagesSent += end.messagesSent
    sums.frameBytesReceived += end.frameBytesReceived
    sums.frameBytesSent += end.frameBytesSent
  }
  subscribe('fastify-websocket.close', onMessage)
  t.teardown(() => unsubscribe('fastify-websocket.close', onMessage))
  return sums
}

function createSums (): Sums {
  return {
    ends: 0, messagesReceived: 0, messagesSent: 0, frameBytesReceived: 0, frameBytesSent: 0
  }
}

for (const isFollowed of [false, true]) {
  const how = isFollowed ? ', also those that are told one by one' : ''
  test(`the numbers are those of ${CLIENTS} clients${how}`, async (t) => {
    const sums = isFollowed ? listen(t) : null
    const { fastify, origin } = await serve(t, {
      plugin: {
        origin: (_origin, { headers }) => headers.origin === undefined,
        options: { perMessageDeflate: true }
      },
      declare
    })
    const known = createKnown()
    const numbers = Array.from({ length: CLIENTS }, (_, number) => number)
    await Promise.all(numbers.map((number) => tryInVain(t, origin, number, known)))
    const talkers = await Promise.all(numbers.map((number) => join(t, origin, number, known)))
    await Promise.all(talkers.map((talker) => talker.talk()))
    fastify.websocketServer.publish('topic', LAST)
    known.published++
    const subscribers = talkers.filter((_, number) => number % 4 === 0)
    await Promise.all(subscribers.map((talker) => talker.readTopic()))
    t.strictSame(read(fastify), { ...known, open: CLIENTS }, 'while they are open')
    t.ok(known.delivered > known.subscriptions, `${known.delivered} were delivered`)
    await Promise.all(talkers.map((talker) => talker.end()))
    known.subscriptions = 0
    await until(() => fastify.websocketServer.stats().open === 0)
    t.strictSame(read(fastify), known, 'when all have gone')
    if (sums === null) return
    const { messagesSent, messagesReceived } = known
    const bytes = talkers.map(({ frameBytes }) => frameBytes)
    t.strictSame(sums, {
      ends: CLIENTS,
      messagesReceived,
      messagesSent,
      frameBytesReceived: bytes.reduce((sum, { sent }) => sum + sent, 0),
      frameBytesSent: bytes.reduce((sum, { received }) => sum + received, 0)
    })
  })
}
