import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import tap, { test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import type { WebsocketHandler } from '../../src/types'
import { exposeGarbageCollector } from '../helpers/gc'
import { serve } from '../helpers/plugin'
import { frame, upgradeHead } from '../helpers/raw'
import { serveStreams, turn, until } from '../helpers/streams'

/** Milliseconds; the machine may have other things to do. */
const PATIENCE = 180_000

const AT_ONCE = 100
const ROUNDS = 20
const FIN_TEXT = 0x81
const CLOSE = 0x88

const HEAD = Buffer.from(upgradeHead('/'))
const MESSAGE = frame(FIN_TEXT, 'text')
const GOODBYE = frame(CLOSE, Buffer.from([3, 232]))

/** Ways to use a connection and to leave it, one after the other. */
const uses: Array<(stream: SocketStream) => unknown> = [
  () => {},
  (stream) => stream.pipe(stream),
  (stream) => stream.socket.on('message', () => {}),
  async (stream) => { for await (const chunk of stream) stream.write(chunk) },
  (stream) => { stream.socket.onmessage = () => { stream.end('last') } },
  (stream) => { stream.write('text', () => { stream.destroy() }) },
  (stream) => { stream.socket.terminate() }
]

const leaves: Array<(client: Socket) => unknown> = [
  (client) => client.write(Buffer.concat([MESSAGE, GOODBYE])),
  (client) => client.write(MESSAGE, () => client.resetAndDestroy()),
  (client) => client.end(MESSAGE)
]

/** Remembers what a connection consists of, without holding on to it. */
class Memory {
  readonly #refs: Array<WeakRef<object>> = []

  add (...objects: object[]): void {
    for (const object of objects) this.#refs.push(new WeakRef(object))
  }

  get size (): number {
    return this.#refs.length
  }

  get alive (): number {
    return this.#refs.filter((ref) => ref.deref() !== undefined).length
  }
}

async function openAndClose (port: number, index: number): Promise<void> {
  const client = connect(port, '127.0.0.1')
  client.on('error', () => {})
  const closed = new Promise((resolve) => { client.on('close', resolve) })
  client.write(HEAD)
  await Promise.race([once(client, 'data'), closed])
  leaves[index % leaves.length]?.(client.resume())
  await closed
}

async function openAndCloseMany (port: number, count: number): Promise<void> {
  for (let done = 0; done < count; done += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, (_, i) => openAndClose(port, done + i))
    await Promise.all(batch)
  }
}

/** Collects garbage until at most `most` objects are left, or it does not help any more. */
async function forget (memory: Memory, most: number): Promise<void> {
  const collectGarbage = exposeGarbageCollector()
  for (let round = 0; round < ROUNDS && memory.alive > most; round++) {
    await turn()
    collectGarbage()
  }
}

tap.setTimeout(PATIENCE)

test('10,000 connections leave no object behind', async (t) => {
  const memory = new Memory()
  const { server, port } = await serveStreams(t)
  let index = 0
  server.on('stream', (stream, { socket }) => {
    memory.add(stream, stream.socket, socket)
    stream.on('error', () => {})
    // The rejection of a reader whose connection is lost is not what is tested here.
    Promise.resolve(uses[index++ % uses.length]?.(stream)).catch(() => {})
  })
  await openAndCloseMany(port, 10_000)
  await until(() => server.clients.size === 0)
  t.equal(memory.size, 30_000)
  // The last of them may be on the stack or in a cache of Node.js.
  await forget(memory, AT_ONCE)
  t.ok(memory.alive <= AT_ONCE)
})

test('1,000 connections of routes leave no object behind', async (t) => {
  const memory = new Memory()
  let index = 0
  const handler: WebsocketHandler = (connection, req, request) => {
    memory.add(connection, connection.socket, req, request)
    return uses[index++ % uses.length]?.(connection)
  }
  const { fastify, origin } = await serve(t, {
    plugin: { errorHandler () {} },
    declare (fastify) { fastify.get('/', { websocket: true }, handler) }
  })
  await openAndCloseMany(Number(new URL(origin).port), 1_000)
  await until(() => fastify.websocketServer.clients.size === 0)
  t.equal(memory.size, 4_000)
  await forget(memory, AT_ONCE)
  t.ok(memory.alive <= AT_ONCE)
})
