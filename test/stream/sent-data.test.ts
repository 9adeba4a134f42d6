// What is sent is what the application passed, as it was then, in the order of the calls.
import { test } from 'tap'
import ws, { WebSocket } from 'ws'
import type { StreamSocket } from '../../src/stream/socket'
import { createPair, turn } from '../helpers/streams'

type Send = (socket: StreamSocket, data: Uint8Array) => void

const done = (): void => {}

// The types of ws lack some of what it takes.
const sends: Record<string, Send> = {
  'send(data)': (socket, data) => { socket.send(data) },
  'send(data, callback)': (socket, data) => { socket.send(data, done) },
  'send of text bytes': (socket, data) => { socket.send(data, { binary: false }) },
  'send of an ArrayBuffer': (socket, data) => { socket.send(data.buffer) },
  'send of a DataView': (socket, data) => { socket.send(new DataView(data.buffer)) },
  'send of shared memory': (socket, data) => {
    const shared = new Uint8Array(new SharedArrayBuffer(data.length))
    shared.set(data)
    socket.send(shared.buffer)
    shared.fill(0)
  },
  'send behind a ping': (socket, data) => {
    socket.ping()
    socket.send(data)
  }
}

for (const [name, send] of Object.entries(sends)) {
  for (const length of [100, 4096, 5000, 100_000]) {
    test(`${name} sends ${length} bytes as they were then`, async (t) => {
      const { stream: { socket }, client } = await createPair(t)
      const scratch = new Uint8Array(length)
      for (const value of [1, 2, 3]) {
        scratch.fill(value)
        send(socket, scratch)
      }
      scratch.fill(0)
      for (const value of [1, 2, 3]) {
        t.ok((await client.next()).data.equals(Buffer.alloc(length, value)), String(value))
      }
    })
  }
}

for (const name of ['ping', 'pong'] as const) {
  test(`${name} sends bytes as they were then`, async (t) => {
    const { stream: { socket }, client } = await createPair(t)
    const seen: number[] = []
    client.socket.on(name, (data) => { seen.push(data[0] ?? 0) })
    const scratch = Buffer.alloc(1)
    for (const value of [1, 2, 3]) socket[name](scratch.fill(value))
    socket.send('last')
    await client.next()
    t.strictSame(seen, [1, 2, 3])
  })
}

const takes: Record<string, (data: Uint8Array<ArrayBuffer>) => void> = {
  'a structuredClone with transfer' (data) {
    structuredClone(data, { transfer: [data.buffer] })
  },
  'a postMessage with transfer' (data) {
    const { port1, port2 } = new MessageChannel()
    port1.postMessage(data, [data.buffer])
    port1.close()
    port2.close()
  },
  // Of ES2024, which the types are older than.
  'resize(0)' ({ buffer }) {
    (buffer as ArrayBuffer & { resize (length: number): void }).resize(0)
  }
}

for (const [name, take] of Object.entries(takes)) {
  for (const length of [100, 5000, 100_000]) {
    for (const isBehind of [false, true]) {
      const where = isBehind ? ' behind a ping' : ''
      test(`${name} of ${length} bytes leaves what was sent before${where}`, async (t) => {
        const { stream: { socket }, client } = await createPair(t)
        // As above, the types are older than the second argument.
        const buffer: ArrayBuffer = Reflect.construct(ArrayBuffer, [length, {
          maxByteLength: length
        }])
        const data = new Uint8Array(buffer).fill(7)
        socket.send('before')
        if (isBehind) socket.ping()
        socket.send(data)
        take(data)
        t.equal(data.length, 0)
        socket.send('after')
        t.equal(await client.nextText(), 'before')
        t.ok((await client.next()).data.equals(Buffer.alloc(length, 7)))
        t.equal(await client.nextText(), 'after')
      })
    }
  }
}

/** A Blob of another class, as a package or another realm has one: it has the shape alone. */
class OtherBlob {
  readonly type = ''
  readonly [Symbol.toStringTag] = 'Blob'
  readonly #blob: Blob

  constructor (text: string) {
    this.#blob = new Blob([text])
  }

  get size (): number {
    return this.#blob.size
  }

  arrayBuffer (): Promise<ArrayBuffer> {
    return this.#blob.arrayBuffer()
  }

  stream (): unknown {
    return this.#blob.stream()
  }
}

const blobs = {
  'of Node.js': (text: string) => new Blob([text]),
  'of another class': (text: string) => new OtherBlob(text)
}

for (const [name, create] of Object.entries(blobs)) {
  test(`what is sent after a Blob comes after it, ${name}`, async (t) => {
    const { stream, client } = await createPair(t)
    const { socket } = stream
    socket.send('1')
    // The types of ws lack Blob.
    socket.send(create('2') as never)
    socket.send('3')
    socket.send(Buffer.from('4'), done)
    stream.end('5')
    for (const text of ['1', '2', '3', '4', '5']) t.equal(await client.nextText(), text)
    t.equal((await client.closed).code, 1000)
  })

  test(`what is sent after a ping with a Blob comes after it, ${name}`, async (t) => {
    const { stream: { socket }, client } = await createPair(t)
    const order: string[] = []
    client.socket.on('ping', (data) => { order.push(String(data)) })
    client.socket.on('message', (data) => { order.push(String(data)) })
    socket.ping(create('ping'))
    socket.send('message')
    await client.next()
    t.strictSame(order, ['ping', 'message'])
  })
}

test('arrays of bytes keep their place', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  socket.send('1')
  socket.send([50])
  socket.send('3')
  for (const text of ['1', '2', '3']) t.equal(await client.nextText(), text)
})

test('a send that throws in the middle of a message in fragments is not part of it', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  socket.send('a', { fin: false })
  // Of a type that ws refuses, as TypeScript would.
  t.throws(() => { socket.send(Symbol('nonsense') as never) }, TypeError)
  socket.send('b')
  socket.send('c')
  t.equal(await client.nextText(), 'ab')
  t.equal(await client.nextText(), 'c')
})

test('a ping that throws does not hold up what follows', async (t) => {
  const { stream, client } = await createPair(t)
  t.throws(() => { stream.socket.ping({ length: 126 }) }, RangeError)
  stream.end('last')
  t.equal(await client.nextText(), 'last')
  t.equal((await client.closed).code, 1000)
})

test('a long message leaves at once, behind what was packed before', async (t) => {
  const { stream: { socket }, transport } = await createPair(t)
  const before = transport.bytesWritten
  socket.send('1')
  socket.send(Buffer.alloc(5000))
  socket.send('3')
  t.equal(transport.bytesWritten - before, 3 + 5004)
  await turn()
  t.equal(transport.bytesWritten - before, 3 + 5004 + 3)
  t.equal(socket.readyState, WebSocket.OPEN)
})

test('long bytes are with the system at once, long text with the end of the tick', async (t) => {
  const { stream: { socket }, transport, client } = await createPair(t)
  socket.send(Buffer.alloc(5000))
  t.equal(transport.writableLength, 0)
  socket.send('x'.repeat(5001))
  t.equal(transport.writableLength, 4 + 5001)
  await turn()
  t.equal(transport.writableLength, 0)
  for (const length of [5000, 5001]) t.equal((await client.next()).data.length, length)
})

// The types of ws lack it.
interface WithSender {
  readonly Sender: { readonly prototype: { send (...args: unknown[]): void } }
}

const { Sender } = ws as unknown as WithSender

test('whole messages without a callback do without the sender of ws, at any length', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const { send } = Sender.prototype
  t.teardown(() => { Sender.prototype.send = send })
  const sent: unknown[] = []
  Sender.prototype.send = function (...args) {
    sent.push(args[0])
    Reflect.apply(send, this, args)
  }
  for (const length of [10, 5000, 70_000]) {
    socket.send('x'.repeat(length))
    socket.send(Buffer.alloc(length))
    for (let i = 0; i < 2; i++) t.equal((await client.next()).data.length, length)
  }
  t.strictSame(sent, [])
  socket.send('with a callback', done)
  t.equal(await client.nextText(), 'with a callback')
  t.strictSame(sent, ['with a callback'])
})

test('an agent that comes in the middle of a tick sees the long messages of it', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const { send } = WebSocket.prototype
  t.teardown(() => { WebSocket.prototype.send = send })
  const seen: number[] = []
  socket.send('short')
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    seen.push((args[0] as { length: number }).length)
    Reflect.apply(send, this, args)
  }
  const long = 'x'.repeat(5001)
  socket.send(long)
  socket.send(Buffer.alloc(5002))
  t.strictSame(seen, [5001, 5002])
  t.equal(await client.nextText(), 'short')
  t.equal(await client.nextText(), long)
  t.equal((await client.next()).data.length, 5002)
})
