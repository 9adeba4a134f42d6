import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test, type Test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { echo } from '../helpers/plugin'
import { frame, upgradeHead, type RawClient } from '../helpers/raw'
import { answerOf, framesOf, Siege } from '../helpers/siege'
import { until } from '../helpers/streams'

const HEAD = Buffer.from(upgradeHead('/talk'))

/** A handshake, a message of two fragments with a ping between them, and the close. */
const CONVERSATION = Buffer.concat([
  HEAD, frame(0x01, 'hel'), frame(0x89, '?'), frame(0x80, 'lo'),
  frame(0x88, Buffer.from([0x03, 0xe8, 0x62, 0x79, 0x65]))
])

/** How a client may leave. */
const EXITS: Record<string, (socket: Socket) => void> = {
  'a reset': (socket) => { socket.resetAndDestroy() },
  'a FIN': (socket) => { socket.end() }
}

const HANDLERS: Record<string, WebsocketHandler> = {
  'a listener': echo,
  'a pipe': (connection) => { connection.pipe(connection) },
  'a stream that nobody reads': (connection) => { connection.write('hi') },
  'a handler that never ends': () => new Promise(() => {}),
  'an iterator': async (connection) => {
    for await (const chunk of connection) connection.write(chunk)
  }
}

for (const [exit, leave] of Object.entries(EXITS)) {
  for (const [name, handler] of Object.entries(HANDLERS)) {
    test(`${name} survives ${exit} behind every byte of a conversation`, async (t) => {
      const siege = await Siege.begin(t, {
        plugin: { options: { pauseTimeout: 20 } },
        declare (fastify) { fastify.get('/talk', { websocket: true }, handler) }
      })
      let upgrades = 0
      siege.fastify.websocketServer.on('connection', () => { upgrades++ })
      for (let length = 0; length <= CONVERSATION.length; length++) {
        await leaveBehind(t, siege, length, leave)
      }
      t.equal(upgrades, CONVERSATION.length - HEAD.length + 1)
      // The peer breaks no rule when it goes.
      await siege.assertUnharmed(t, 0)
      await siege.end(t)
    })
  }
}

/** Sends so many bytes, leaves when the server has them, and waits until the server knows. */
async function leaveBehind (
  t: Test, siege: Siege, length: number, leave: (socket: Socket) => void
): Promise<void> {
  const { server } = siege.fastify
  const accepted = once(server, 'connection')
  const client = siege.enter(t)
  const [transport] = await accepted
  const closed = new Promise((resolve) => { transport.once('close', resolve) })
  client.write(CONVERSATION.subarray(0, length))
  await until(() => transport.bytesRead === length)
  leave(client.socket)
  await Promise.all([closed, client.closed])
}

test('a whole conversation is answered as it should be', async (t) => {
  const siege = await Siege.begin(t, {
    declare (fastify) { fastify.get('/talk', { websocket: true }, echo) }
  })
  await assertConversation(t, siege.enter(t))
  await siege.assertUnharmed(t, 0)
  await siege.end(t)
})

async function assertConversation (t: Test, client: RawClient): Promise<void> {
  // Byte by byte, each in a packet of its own.
  client.socket.setNoDelay(true)
  for (const byte of CONVERSATION) {
    await new Promise((resolve) => { client.socket.write(Buffer.from([byte]), resolve) })
  }
  await client.closed
  t.equal(answerOf(client.received), 1000)
  const frames = [...framesOf(client.received.subarray(client.received.indexOf('\r\n\r\n') + 4))]
  t.strictSame(frames.map(({ opcode }) => opcode), [0xa, 0x1, 0x8])
  t.equal(frames[1]?.payload.toString(), 'hello')
}
