import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import type { WebsocketHandler } from '../../src/types'
import { Client, connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { readers } from './readers'

const COUNT = 10_000
const TEXT_FRAME = 0x81

const messages = Array.from({ length: COUNT }, (_, i) => `${i},`)
const expected = messages.join('')

/** What an application awaits before it reads: a file, a user from a database. */
async function loadUser (): Promise<void> {
  await readFile(__filename)
}

/** A route whose handler awaits something and then reads; resolves with what it read. */
function declareReader<T> (
  fastify: FastifyInstance, read: (connection: SocketStream) => Promise<T>
): Promise<T> {
  return new Promise((resolve, reject) => {
    const handler: WebsocketHandler = async (connection) => {
      await loadUser()
      await read(connection).then(resolve, reject)
    }
    fastify.get('/', { websocket: true }, handler)
  })
}

for (const [name, read] of Object.entries(readers)) {
  test(`a handler that awaits first gets every message with ${name}`, async (t) => {
    let result: Promise<string> | undefined
    const { origin } = await serve(t, {
      declare (fastify) {
        result = declareReader(fastify, (connection) => read(connection, expected.length))
      }
    })
    // Not `connect`: the messages leave with the very first chance.
    const client = new Client(origin)
    t.teardown(() => { client.socket.terminate() })
    client.socket.on('open', () => { for (const message of messages) client.send(message) })

    t.equal(await result, expected)
  })

  test(`messages in the packet of the request reach ${name}, past an async hook`, async (t) => {
    let result: Promise<string> | undefined
    const { origin } = await serve(t, {
      declare (fastify) {
        fastify.addHook('preHandler', loadUser)
        result = declareReader(fastify, (connection) => read(connection, expected.length))
      }
    })
    const client = new RawClient(t, Number(new URL(origin).port))
    const frames = messages.map((message) => frame(TEXT_FRAME, message))
    client.write(Buffer.concat([Buffer.from(upgradeHead('/')), ...frames]))

    t.equal(await result, expected)
  })
}

test('readers that come in the same tick all get every message', async (t) => {
  const names = ['data', "socket.on('message')", 'addEventListener', 'pipe']
  let results: Promise<Array<string | undefined>> | undefined
  const { origin } = await serve(t, {
    declare (fastify) {
      results = declareReader(fastify, (connection) =>
        Promise.all(names.map((name) => readers[name]?.(connection, expected.length))))
    }
  })
  const client = await connect(t, origin)
  for (const message of messages) client.send(message)

  t.strictSame(await results, names.map(() => expected))
})
