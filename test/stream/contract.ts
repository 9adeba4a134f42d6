import { once } from 'node:events'
import { PassThrough, Readable, type Duplex } from 'node:stream'
import type { Test } from 'tap'
import type { Client } from '../helpers/client'

/** A connection to the server under test, with the stream that the server made of it. */
export interface ContractPair {
  readonly stream: Duplex
  readonly client: Client
}

/** Options of a server that websocket-stream knows too. */
export interface ContractOptions {
  objectMode?: boolean
  binary?: boolean
}

/** Opens a connection to the server under test. Nobody reads the stream yet. */
export type Connect = (t: Test, options?: ContractOptions) => Promise<ContractPair>

type Cases = Record<string, (t: Test, connect: Connect) => Promise<void>>

/** What every stream over a WebSocket does. */
export const contract: Cases = {
  async 'echoes bytes through pipe' (t, connect) {
    const { stream, client } = await connect(t)
    stream.pipe(stream)
    client.send(Buffer.from('one'))
    t.match(await client.next(), { text: 'one', isBinary: true })
    client.send(Buffer.from([0, 255, 128]))
    t.strictSame((await client.next()).data, Buffer.from([0, 255, 128]))
  },

  async 'gives text as bytes, and strings once an encoding is set' (t, connect) {
    const { stream, client } = await connect(t)
    const first = once(stream, 'data')
    client.send('text')
    t.strictSame(await first, [Buffer.from('text')])
    stream.setEncoding('utf8')
    const second = once(stream, 'data')
    client.send('€')
    t.strictSame(await second, ['€'])
  },

  async 'keeps what came before there was a reader' (t, connect) {
    const { stream, client } = await connect(t)
    for (const text of ['one', 'two', 'three']) client.send(text)
    client.socket.ping()
    await once(client.socket, 'pong')
    let text = ''
    while (text.length < 'onetwothree'.length) {
      text += String(stream.read() ?? '')
      await new Promise((resolve) => { setImmediate(resolve) })
    }
    t.equal(text, 'onetwothree')
  },

  async 'sends strings as binary messages' (t, connect) {
    const { stream, client } = await connect(t)
    stream.write('text')
    t.match(await client.next(), { text: 'text', isBinary: true })
  },

  async 'sends strings as text in object mode, each on its own' (t, connect) {
    for (const options of [{ objectMode: true }, { binary: false }]) {
      const { stream, client } = await connect(t, options)
      stream.write('one')
      stream.write('two')
      stream.write(Buffer.from('three'))
      t.match(await client.next(), { text: 'one', isBinary: false })
      t.match(await client.next(), { text: 'two', isBinary: false })
      t.match(await client.next(), { text: 'three', isBinary: true })
    }
  },

  async 'gives each binary message as a chunk of its own in object mode' (t, connect) {
    const { stream, client } = await connect(t, { objectMode: true })
    const chunks: unknown[] = []
    stream.on('data', (chunk) => { chunks.push(chunk) })
    for (const text of ['one', 'two', 'three']) client.send(Buffer.from(text))
    client.socket.ping()
    await once(client.socket, 'pong')
    t.strictSame(chunks, ['one', 'two', 'three'].map((text) => Buffer.from(text)))
  },

  async 'keeps the order and the content of 1 MB of writes' (t, connect) {
    const { stream, client } = await connect(t)
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}`.padStart(50, '.'))
    Readable.from(lines, { objectMode: false }).pipe(stream, { end: false })
    let received = ''
    while (received.length < lines.length * 50) received += await client.nextText()
    t.ok(received === lines.join(''))
  },

  async 'ends the connection when a pipe into it ends, after its last byte' (t, connect) {
    const { stream, client } = await connect(t)
    stream.resume()
    const source = new PassThrough()
    source.pipe(stream)
    source.end('last')
    t.equal(await client.nextText(), 'last')
    await client.closed
  },

  async 'emits finish and close once after end()' (t, connect) {
    const { stream, client } = await connect(t)
    stream.resume()
    const events: string[] = []
    for (const event of ['finish', 'close']) stream.on(event, () => { events.push(event) })
    const closed = once(stream, 'close')
    stream.end()
    await Promise.all([closed, client.closed])
    t.strictSame(events, ['finish', 'close'])
  },

  async 'emits close once when the client leaves' (t, connect) {
    const { stream, client } = await connect(t)
    stream.resume()
    let closes = 0
    stream.on('close', () => { closes++ })
    const closed = once(stream, 'close')
    client.close()
    await Promise.all([closed, client.closed])
    t.equal(closes, 1)
    t.equal(stream.destroyed, true)
  },

  async 'a reader gets what came before the client left, and the end' (t, connect) {
    const { stream, client } = await connect(t)
    let text = ''
    stream.once('readable', () => {})
    client.send('text')
    await ping(client)
    client.close()
    await client.closed
    stream.on('data', (chunk) => { text += String(chunk) })
    await once(stream, 'end')
    t.equal(text, 'text')
  },

  async 'destroy(error) emits that error' (t, connect) {
    const { stream, client } = await connect(t)
    const failed = new Promise((resolve) => { stream.on('error', resolve) })
    const failure = new Error('own')
    stream.destroy(failure)
    t.equal(await failed, failure)
    await client.closed
  },

  async 'the client sees the close of destroy()' (t, connect) {
    const { stream, client } = await connect(t)
    stream.destroy()
    await client.closed
    t.equal(stream.destroyed, true)
  }
}

/** What our stream does otherwise than websocket-stream 5.5.2; the README lists the same. */
export interface Difference {
  readonly name: string
  readonly ours: string
  readonly websocketStream: string
  /** Tries it out. */
  observe (t: Test, connect: Connect): Promise<string>
}

async function observeClose (
  t: Test, connect: Connect, close: (stream: Duplex) => unknown
): Promise<string> {
  const { stream, client } = await connect(t)
  stream.on('error', () => {})
  close(stream.resume())
  const { code } = await client.closed
  return String(code)
}

/** Waits until the server has dealt with what `client` has sent. */
async function ping (client: Client): Promise<void> {
  client.socket.ping()
  await once(client.socket, 'pong')
}

export const differences: readonly Difference[] = [
  {
    name: 'text message, read in object mode',
    ours: 'string',
    websocketStream: 'Buffer',
    async observe (t, connect) {
      const { stream, client } = await connect(t, { objectMode: true })
      const first = once(stream, 'data')
      client.send('text')
      const [chunk] = await first
      return typeof chunk === 'string' ? 'string' : 'Buffer'
    }
  },
  {
    name: 'close code of end()',
    ours: '1000',
    websocketStream: '1005',
    observe: (t, connect) => observeClose(t, connect, (stream) => stream.end())
  },
  {
    name: 'close code of destroy()',
    ours: '1000',
    websocketStream: '1005',
    observe: (t, connect) => observeClose(t, connect, (stream) => stream.destroy())
  },
  {
    name: 'close code of destroy(error)',
    ours: '1011',
    websocketStream: '1005',
    observe: (t, connect) => observeClose(t, connect, (stream) => stream.destroy(new Error('own')))
  },
  {
    name: 'reader of a lost connection',
    ours: 'error',
    websocketStream: 'close without error',
    async observe (t, connect) {
      const { stream, client } = await connect(t)
      const events: string[] = []
      stream.on('error', () => { events.push('error') })
      const closed = new Promise((resolve) => { stream.resume().on('close', resolve) })
      client.socket.terminate()
      await closed
      return events[0] ?? 'close without error'
    }
  },
  {
    name: 'message that came before a message listener on the socket',
    ours: 'is kept for it',
    websocketStream: 'is lost to it',
    async observe (t, connect) {
      const { stream, client } = await connect(t)
      const texts: string[] = []
      client.send('early')
      await ping(client)
      const { socket } = Object(stream)
      socket.on('message', (message: unknown) => { texts.push(String(message)) })
      client.send('late')
      await ping(client)
      return texts[0] === 'early' ? 'is kept for it' : 'is lost to it'
    }
  },
  {
    name: 'messages of a socket with a message listener',
    ours: 'are not in the stream too',
    websocketStream: 'stay in the stream',
    async observe (t, connect) {
      const { stream, client } = await connect(t)
      const { socket } = Object(stream)
      socket.on('message', () => {})
      client.send('text')
      await ping(client)
      const first = once(stream, 'data')
      client.send('more')
      return String(await first) === 'more' ? 'are not in the stream too' : 'stay in the stream'
    }
  },
  {
    name: 'unread messages',
    ours: 'wait within highWaterMark',
    websocketStream: 'wait without bound',
    async observe (t, connect) {
      const { stream, client } = await connect(t)
      for (let i = 0; i < 10; i++) client.send(Buffer.alloc(20_000))
      await ping(client)
      let length = 0
      const last = new Promise<void>((resolve) => {
        stream.on('data', (chunk) => {
          length += chunk.length
          if (String(chunk) === 'last') resolve()
        })
      })
      client.send('last')
      await last
      return length > 200_000 ? 'wait without bound' : 'wait within highWaterMark'
    }
  },
  {
    name: 'write after socket.close()',
    ours: 'error',
    websocketStream: 'nothing',
    async observe (t, connect) {
      const { stream } = await connect(t)
      stream.on('error', () => {})
      Object(stream).socket.close()
      const error = await new Promise((resolve) => { stream.write('late', resolve) })
      return error instanceof Error ? 'error' : 'nothing'
    }
  },
  {
    name: 'chunks written in one tick',
    ours: 'a message each',
    websocketStream: 'the first, then the others as one',
    async observe (t, connect) {
      const { stream, client } = await connect(t)
      for (const chunk of ['one', 'two', 'three']) stream.write(chunk)
      await client.next()
      const second = await client.nextText()
      return second === 'two' ? 'a message each' : 'the first, then the others as one'
    }
  }
]
