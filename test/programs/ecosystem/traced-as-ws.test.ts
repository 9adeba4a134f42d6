// A tracing agent replaces `send` and `emit` of ws before this package is loaded. What it sees of a
// conversation is compared with what it sees of the same conversation on ws alone.
import { once } from 'node:events'
import { test, type Test } from 'tap'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import { connect, type Client } from '../../helpers/client'
import { createHttp, type Teardown } from '../../helpers/servers'
import type { WebsocketHandler } from '../../../src/index'

type Method = (this: unknown, ...args: unknown[]) => unknown

/** A method that the agent has seen called, with its arguments as text. */
type Call = [method: string, ...args: string[]]

let calls: Call[] = []

// The first thing of all, as an agent does it.
for (const name of ['send', 'emit']) {
  const original: Method = Reflect.get(WebSocket.prototype, name)
  const traced: Method = function (...args) {
    // Of the servers, not of the clients.
    if (this instanceof WebSocket && this.url === undefined) calls.push([name, ...show(args)])
    return original.apply(this, args)
  }
  Object.assign(WebSocket.prototype, { [name]: traced })
}

/**
 * Arguments as text, without callbacks and empty options. A text message is bytes in ws and a
 * string here, so bytes are shown as text.
 */
function show (args: readonly unknown[]): string[] {
  return args.filter((arg) => typeof arg !== 'function' && arg !== undefined)
    .map((arg) => typeof arg === 'string' || Buffer.isBuffer(arg) ? `${arg}` : JSON.stringify(arg))
    .filter((text) => text !== '{}')
}

/** How the server answers: with listeners of the socket, or as a stream. */
interface Handlers {
  socket (socket: WebSocket): void
  stream (stream: NodeJS.ReadWriteStream): void
}

const echo: Handlers = {
  socket (socket) {
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary })
      socket.send('twice')
    })
  },
  stream (stream) {
    stream.pipe(stream)
  }
}

type Kind = keyof Handlers | 'object stream'

/** What plain ws is asked to do. */
async function serveWs (t: Teardown, kind: Kind): Promise<string> {
  const { server, origin } = await createHttp(t)
  new WebSocketServer({ server }).on('connection', (socket) => {
    if (kind === 'socket') echo.socket(socket)
    else echo.stream(createWebSocketStream(socket, { objectMode: kind === 'object stream' }))
  })
  return origin
}

/** The same of this package, which is loaded only now. */
async function serveOurs (t: Teardown, kind: Kind): Promise<string> {
  const { serve } = require('../../helpers/plugin')
  const handle: WebsocketHandler = (connection) => {
    if (kind === 'socket') echo.socket(connection.socket)
    else echo.stream(connection)
  }
  const options = { objectMode: kind === 'object stream' }
  const { origin } = await serve(t, { plugin: { handle, options } })
  return origin
}

/** A text, bytes, a ping and a close; each waits until the one before has been answered. */
async function converse (t: Test, client: Client, answers: number): Promise<void> {
  for (const message of ['text', Buffer.from('bytes'), 'zoë', 'x'.repeat(70_000)]) {
    client.send(message)
    for (let count = 0; count < answers; count++) await client.next()
  }
  client.socket.ping('ping')
  await once(client.socket, 'pong')
  client.close(4000, 'bye')
  t.match(await client.closed, { code: 4000 })
}

async function trace (t: Test, origin: string, answers: number): Promise<Call[]> {
  calls = []
  const client = await connect(t, origin)
  await converse(t, client, answers)
  return calls
}

test('an agent sees the calls and events of a socket as on ws, in their order', async (t) => {
  const expected = await trace(t, await serveWs(t, 'socket'), 2)
  const seen = await trace(t, await serveOurs(t, 'socket'), 2)
  t.strictSame(seen, expected)
  t.equal(expected.filter(([method]) => method === 'send').length, 8)
})

/** Messages that were received, and calls of `send`, without the options. */
function messagesOf (all: readonly Call[]): Call[] {
  return all.flatMap(([method, first = '', second = '']): Call[] => {
    if (method === 'send') return [[method, first]]
    return first === 'message' ? [[method, second]] : []
  })
}

for (const kind of ['stream', 'object stream'] as const) {
  test(`an agent sees the messages of an echo by ${kind} as on ws, in their order`, async (t) => {
    const expected = await trace(t, await serveWs(t, kind), 1)
    const seen = await trace(t, await serveOurs(t, kind), 1)
    t.strictSame(messagesOf(seen), messagesOf(expected))
    t.equal(messagesOf(expected).length, 8)
  })
}
