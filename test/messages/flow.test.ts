// Streams of values under backpressure and pause.
import { once } from 'node:events'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import type { SocketStream } from '../../src/stream/duplex'
import { connect, ping, type Client } from '../helpers/client'
import { serve } from '../helpers/plugin'
import type { Teardown } from '../helpers/servers'
import { turn, until } from '../helpers/streams'

const COUNT = 2000
const schema = {
  incoming: {
    type: 'object',
    required: ['n'],
    properties: { n: { type: 'integer' }, pad: { type: 'string' } }
  },
  outgoing: {
    type: 'object', properties: { n: { type: 'integer' }, pad: { type: 'string' } }
  }
}
const pad = 'x'.repeat(1000)

async function connectTo (
  t: Teardown, handler: WebsocketHandler
): Promise<{ client: Client, connection: SocketStream }> {
  let opened = (_connection: SocketStream): void => {}
  const connection = new Promise<SocketStream>((resolve) => { opened = resolve })
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true, schema }, function (stream, req, request) {
        opened(stream)
        return handler.call(this, stream, req, request)
      })
    }
  })
  return { client: await connect(t, origin), connection: await connection }
}

/** What the echo of `COUNT` messages is, in order. */
async function readAll (client: Client): Promise<number[]> {
  const numbers: number[] = []
  while (numbers.length < COUNT) numbers.push(JSON.parse(await client.nextText()).n)
  return numbers
}

const NUMBERS = Array.from({ length: COUNT }, (_, n) => n)

test('a slow loop gets every message in order, and pauses the client meanwhile', async (t) => {
  let wake = (): void => {}
  const awake = new Promise<void>((resolve) => { wake = resolve })
  const { client, connection } = await connectTo(t, async (connection) => {
    for await (const message of connection) {
      await awake
      if (!connection.write(message)) await once(connection, 'drain')
    }
  })
  for (const n of NUMBERS) client.send(JSON.stringify({ n, pad }))
  await until(() => connection.socket.isPaused)
  t.ok(connection.readableLength <= 17, 'the stream holds no more than its high-water mark')
  wake()
  t.same(await readAll(client), NUMBERS)
})

test('a pipeline through a transform carries values both ways', async (t) => {
  const { client } = await connectTo(t, (connection) => {
    return pipeline(connection, new Transform({
      objectMode: true,
      transform: ({ n, pad }, _encoding, callback) => { callback(null, { n: n + 1, pad }) }
    }), connection)
  })
  for (const n of NUMBERS) client.send(JSON.stringify({ n, pad }))
  t.same(await readAll(client), NUMBERS.map((n) => n + 1))
  client.close()
  t.match(await client.closed, { code: 1005 })
})

test('socket.pause keeps messages back, and none is validated until resume', async (t) => {
  const read: unknown[] = []
  const { client, connection } = await connectTo(t, (connection) => {
    connection.on('data', (message) => { read.push(message) })
    connection.socket.pause()
  })
  client.send('{"n":"1"}')
  await turn()
  read.push('resumed')
  connection.socket.resume()
  await ping(client)
  t.same(read, ['resumed', { n: 1 }])
})

test('a stream that is paused and resumed goes on behind an invalid message', async (t) => {
  const read: unknown[] = []
  const errors: unknown[] = []
  const { origin } = await serve(t, {
    declare: (fastify) => {
      const errorHandler = (error: Error): void => { errors.push(error) }
      fastify.get<{ Incoming: { n: number } }>('/', {
        websocket: { errorHandler }, schema
      }, async (connection) => {
        for await (const message of connection) {
          read.push(message.n)
          connection.write(message)
        }
      })
    }
  })
  const client = await connect(t, origin)
  for (let n = 0; n < 100; n++) {
    client.send('{}')
    client.send(`{"n":${n}}`)
  }
  for (let n = 0; n < 100; n++) t.equal(await client.nextText(), `{"n":${n}}`)
  t.equal(errors.length, 100)
  t.equal(read.length, 100)
})

test('connection.read() gives values', async (t) => {
  const { client } = await connectTo(t, (connection) => {
    connection.on('readable', () => {
      for (let value = connection.read(); value !== null; value = connection.read()) {
        connection.write(value)
      }
    })
  })
  client.send('{"n":1}')
  client.send('{"n":2}')
  t.equal(await client.nextText(), '{"n":1}')
  t.equal(await client.nextText(), '{"n":2}')
})
