import { test } from 'tap'
import { exposeGarbageCollector } from '../helpers/gc'
import { frame, type RawClient } from '../helpers/raw'
import { createPair, createRawPair, turn, until } from '../helpers/streams'

const collectGarbage = exposeGarbageCollector()

const MB = 1_000_000
const ROUNDS = 400

/** A message of one byte in the middle of 64 kB that arrive together. */
const BLOCK = Buffer.concat([
  frame(0x82, 'x'), ...Array.from({ length: 499 }, () => frame(0x8a, 'y'.repeat(125)))
])

/** Messages that held on to their blocks would hold twice as much. */
const MAX_HELD = ROUNDS * BLOCK.length / 2

/** Sends short messages, each in much else, and returns the bytes that are held because of it. */
async function memoryOf (client: RawClient, socket: { on: NodeJS.EventEmitter['on'] }) {
  let pongs = 0
  socket.on('pong', () => { pongs++ })
  const before = await settledMemory()
  for (let round = 1; round <= ROUNDS; round++) {
    client.write(BLOCK)
    await until(() => pongs === round * 499)
  }
  return memory() - before
}

/** The memory once what the tests before have held is gone. */
async function settledMemory (): Promise<number> {
  let last = Infinity
  for (;;) {
    await turn()
    const now = memory()
    if (now > last - MB / 10) return now
    last = now
  }
}

function memory (): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('messages that wait for a reader hold on to themselves alone', async (t) => {
  const { stream, client } = await createRawPair(t)
  const held = await memoryOf(client, stream.socket)
  t.ok(held < MAX_HELD, `${held} bytes`)
})

test('messages in a stream that is not read hold on to themselves alone', async (t) => {
  const { stream, client } = await createRawPair(t)
  stream.on('data', () => {}).pause()
  const held = await memoryOf(client, stream.socket)
  t.equal(stream.readableLength, ROUNDS)
  t.ok(held < MAX_HELD, `${held} bytes`)
})

test('messages that are piped to a slow stream hold on to themselves alone', async (t) => {
  const { stream, client } = await createRawPair(t)
  client.socket.pause()
  // More than the system takes for a client that does not read.
  while (stream.socket.bufferedAmount < 4 * MB) stream.socket.send(Buffer.alloc(MB))
  stream.pipe(stream)
  const held = await memoryOf(client, stream.socket)
  t.ok(held < MAX_HELD, `${held} bytes`)
})

test('messages that are sent back to a slow peer hold on to themselves alone', async (t) => {
  const { stream, client } = await createRawPair(t)
  client.socket.pause()
  while (stream.socket.bufferedAmount < 4 * MB) stream.socket.send(Buffer.alloc(MB))
  stream.socket.on('message', (message) => { stream.socket.send(message) })
  const held = await memoryOf(client, stream.socket)
  t.ok(held < MAX_HELD, `${held} bytes`)
})

test('messages that stalled peers do not take share no memory with those of others', async (t) => {
  const { stream: { socket: fast }, client: reader } = await createPair(t)
  // It is not to keep what it gets.
  reader.socket.removeAllListeners('message').resume()
  const stalled = await Promise.all(Array.from({ length: 16 }, () => createRawPair(t)))
  for (const { stream: { socket }, client } of stalled) {
    client.socket.pause()
    // As much as a client reads ahead.
    socket.send(Buffer.alloc(MB))
    await until(() => client.socket.readableLength > 0)
  }
  await settledMemory()
  const { arrayBuffers: before } = process.memoryUsage()
  const message = Buffer.alloc(1000)
  for (const { stream: { socket } } of stalled) {
    // The first that the system does not take was packed like all before.
    while (socket.bufferedAmount === 0) {
      socket.send(message)
      await turn()
    }
    for (let i = 0; i < 100; i++) fast.send(message)
    await until(() => fast.bufferedAmount === 0)
  }
  await settledMemory()
  const held = process.memoryUsage().arrayBuffers - before
  t.ok(held < MB / 2, `${held} bytes`)
})
