// Listeners for events of a WebSocket on its stream, where they never come.
import { once } from 'node:events'
import { test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { createPair, record } from '../helpers/streams'
import { Warnings } from '../helpers/warnings'

const CODE = 'FST_WS_SOCKET_EVENT'

const LISTENERS: Record<string, (stream: SocketStream, event: string) => void> = {
  on: (stream, event) => { stream.on(event, () => {}) },
  once: (stream, event) => { stream.once(event, () => {}) },
  addListener: (stream, event) => { stream.addListener(event, () => {}) },
  prependListener: (stream, event) => { stream.prependListener(event, () => {}) },
  prependOnceListener: (stream, event) => { stream.prependOnceListener(event, () => {}) },
  'once of node:events': (stream, event) => { once(stream, event).catch(() => {}) }
}

for (const [name, listen] of Object.entries(LISTENERS)) {
  test(`${name}: a message listener on the stream is warned of, and what to write`, async (t) => {
    const warnings = new Warnings(t)
    const { stream } = await createPair(t)
    listen(stream, 'message')
    const [warning, ...more] = await warnings.with(CODE)
    t.match(warning, "Write connection.socket.on('message', …), or connection.on('data', …)")
    t.equal(more.length, 0)
  })
}

for (const event of ['ping', 'pong']) {
  test(`a ${event} listener on the stream is warned of`, async (t) => {
    const warnings = new Warnings(t)
    const { stream } = await createPair(t)
    stream.on(event, () => {})
    const [warning] = await warnings.with(CODE)
    t.match(warning, `Write connection.socket.on('${event}', …).`)
  })
}

test('the handler of another package is warned of, once for each server', async (t) => {
  const warnings = new Warnings(t)
  const { origin } = await serve(t, {
    declare: (fastify) => {
      // What @fastify/websocket calls a socket is the stream here.
      fastify.get('/', { websocket: true }, (socket) => {
        socket.on('message', () => {})
        socket.on('pong', () => {})
        socket.socket.send('listening')
      })
    }
  })
  for (let count = 0; count < 2; count++) {
    const client = await connect(t, origin)
    t.equal(await client.nextText(), 'listening')
  }
  t.equal((await warnings.with(CODE)).length, 1)

  const { stream } = await createPair(t)
  stream.on('message', () => {})
  t.equal((await warnings.with(CODE)).length, 2)
})

test('listeners for events of a stream, and on the socket, are nothing to warn of', async (t) => {
  const warnings = new Warnings(t)
  const { stream } = await createPair(t)
  for (const event of ['data', 'end', 'finish', 'close', 'error', 'mine']) {
    stream.on(event, () => {})
    stream.prependListener(event, () => {})
  }
  for (const event of ['message', 'ping', 'pong']) stream.socket.on(event, () => {})
  t.strictSame(await warnings.with(CODE), [])
})

test('a message event that the application itself emits on the stream arrives', async (t) => {
  const { stream } = await createPair(t)
  const messages = record(stream, 'message')
  stream.emit('message', 'mine')
  t.strictSame(messages, [['mine']])
})
