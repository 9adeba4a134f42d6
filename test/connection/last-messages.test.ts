// Messages that a client sends before its connection ends, in whatever way, reach a listener that
// comes late, pauses, or listens for one message at a time.
import { once } from 'node:events'
import { constants, deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

const TEXT = 0x81
const COMPRESSED_TEXT = 0xc1
const MAX_PAYLOAD = 100
const PAUSE_TIMEOUT = 54_321

type Read = (got: string[], closed: Promise<void>) => WebsocketHandler

const READERS: Record<string, Read> = {
  'that pauses': (got, closed) => ({ socket }) => {
    socket.once('message', () => {
      socket.pause()
      closed.then(() => { socket.resume() })
    })
    socket.on('message', (message) => { got.push(String(message)) })
  },
  'for one message at a time': (got) => async ({ socket }) => {
    for (;;) got.push(String((await once(socket, 'message'))[0]))
  },
  'that comes after the end': (got, closed) => async ({ socket }) => {
    await closed
    socket.on('message', (message) => { got.push(String(message)) })
  }
}

const ENDS: Record<string, (client: RawClient, messages: Buffer) => void> = {
  'a close frame': (client, messages) => {
    client.write(Buffer.concat([messages, frame(0x88, Buffer.from([0x03, 0xe8]))]))
  },
  'an invalid frame': (client, messages) => {
    client.write(Buffer.concat([messages, frame(0x83)]))
  },
  'a message that is too long': (client, messages) => {
    client.write(Buffer.concat([messages, frame(TEXT, 'x'.repeat(MAX_PAYLOAD + 1))]))
  },
  'the end of the socket': ({ socket }, messages) => { socket.end(messages) }
}

for (const [reader, read] of Object.entries(READERS)) {
  for (const [what, end] of Object.entries(ENDS)) {
    test(`a listener ${reader} gets what was sent before ${what}`, async (t) => {
      const got: string[] = []
      let onClosed = (): void => {}
      const closed = new Promise<void>((resolve) => { onClosed = resolve })
      const { fastify } = await serve(t, {
        plugin: { errorHandler: () => {} },
        declare (fastify) {
          fastify.get('/', { websocket: { maxPayload: MAX_PAYLOAD } }, read(got, closed))
        }
      })
      const { websocketServer } = fastify
      const client = new RawClient(t, portOf(fastify.server))
      client.write(upgradeHead('/'))
      await client.until('\r\n\r\n')
      end(client, Buffer.concat(['1', '2', '3'].map((text) => frame(TEXT, text))))
      await until(() => websocketServer.clients.size === 0)
      onClosed()
      await until(() => got.length === 3)
      t.strictSame(got, ['1', '2', '3'])
      t.match(websocketServer.stats(), { messagesReceived: 3, messagesDropped: 0 })
    })
  }
}

test('a stream that is behind learns at once that its client has failed', async (t) => {
  // Of a handler that may still read. It must not be waited for.
  const timers = holdTimers(t, PAUSE_TIMEOUT)
  const errors: unknown[] = []
  let onClosed = (): void => {}
  const closed = new Promise<void>((resolve) => { onClosed = resolve })
  const { fastify } = await serve(t, {
    plugin: { errorHandler: () => {}, options: { objectMode: true, pauseTimeout: PAUSE_TIMEOUT } },
    declare (fastify) {
      fastify.get('/', { websocket: true }, async (connection) => {
        try {
          for await (const message of connection) {
            await closed.then(() => message)
          }
        } catch (error) {
          errors.push(error)
        }
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  // More than the buffer of the stream takes.
  const messages = Array.from({ length: 40 }, (_, i) => frame(TEXT, String(i)))
  client.write(Buffer.concat([...messages, frame(0x83)]))
  await until(() => fastify.websocketServer.clients.size === 0)
  onClosed()
  await until(() => errors.length > 0)
  t.match(errors, [{ code: 'WS_ERR_INVALID_OPCODE' }])
  t.equal(timers.size, 0)
})

function compressed (text: string): Buffer {
  const data = deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH })
  return frame(COMPRESSED_TEXT, data.subarray(0, -4))
}

/** More than may wait, so that the inbox is full, while all messages arrive in one chunk. */
const LONG = 'x'.repeat(2_000)
const HIGH_WATER_MARK = 1_000
const SENT = ['1', LONG, '2', '3', LONG, '4']

const DEFERRED = {
  'are compressed': {
    options: { perMessageDeflate: true },
    extension: 'permessage-deflate',
    encode: compressed
  },
  'come one in each turn': {
    options: { allowSynchronousEvents: false },
    extension: 'none',
    encode: (text: string) => Buffer.concat([
      Buffer.from([TEXT, 0x80 | 126, text.length >> 8, text.length, 0, 0, 0, 0]), Buffer.from(text)
    ])
  }
}

for (const [how, { options, extension, encode }] of Object.entries(DEFERRED)) {
  test(`messages that ${how} wait for the handler when the client has ended`, async (t) => {
    const got: string[] = []
    let onClosed = (): void => {}
    const closed = new Promise<void>((resolve) => { onClosed = resolve })
    const { fastify } = await serve(t, {
      plugin: { options: { ...options, highWaterMark: HIGH_WATER_MARK } },
      declare (fastify) {
        const [, , late] = Object.values(READERS)
        if (late !== undefined) fastify.get('/', { websocket: true }, late(got, closed))
      }
    })
    const { websocketServer } = fastify
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', { 'Sec-WebSocket-Extensions': extension }))
    await client.until('\r\n\r\n')
    client.socket.end(Buffer.concat(SENT.map(encode)))
    await until(() => websocketServer.clients.size === 0)
    onClosed()
    await until(() => got.length === SENT.length)
    t.strictSame(got, SENT)
    t.match(websocketServer.stats(), { messagesReceived: SENT.length, messagesDropped: 0 })
  })
}
