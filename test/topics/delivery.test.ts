// How a message reaches a subscriber: its order among all that the socket sends, and slow peers.
import { once } from 'node:events'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { record, turn } from '../helpers/streams'
import { createRoom, textsUntil, type Member } from '../helpers/topics'

/** A room of which each member is subscribed to "room". */
async function createSubscribed (...args: Parameters<typeof createRoom>) {
  const { server, members } = await createRoom(...args)
  for (const { socket } of members) socket.subscribe('room')
  const [first] = members
  if (first === undefined) throw new Error('a room has a member')
  const { socket, client }: Member = first
  return { server, members, socket, client }
}

test('publish, send, ping, pong and close of one tick keep their order', async (t) => {
  const { server, members, socket, client } = await createSubscribed(t, 2)
  const events: string[] = []
  client.socket.on('message', (data) => { events.push(String(data)) })
  client.socket.on('ping', (data) => { events.push(`ping ${data}`) })
  client.socket.on('pong', (data) => { events.push(`pong ${data}`) })
  socket.send('1')
  server.publish('room', '2')
  socket.ping('3')
  server.publish('room', '4')
  socket.send(Buffer.alloc(5000, '5'))
  server.publish('room', '6')
  socket.pong('7')
  members[1]?.socket.publish('room', '8')
  socket.send('9')
  socket.send('10', () => {})
  server.publish('room', '11')
  socket.close()
  server.publish('room', '12')
  await client.closed
  t.strictSame(events, [
    '1', '2', 'ping 3', '4', '5'.repeat(5000), '6', 'pong 7', '8', '9', '10', '11'
  ])
  t.strictSame(await textsUntil(members[1]?.client ?? client, '12'), ['2', '4', '6', '11', '12'])
})

test('what was published before terminate leaves', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  socket.send('1')
  server.publish('room', '2')
  socket.terminate()
  server.publish('room', '3')
  t.equal((await client.closed).code, 1006)
  t.strictSame(client.unread.map(({ text }) => text), ['1', '2'])
})

test('what was published before unsubscribe arrives, and nothing after it', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  server.publish('room', '1')
  socket.unsubscribe('room')
  server.publish('room', '2')
  socket.subscribe('room')
  server.publish('room', '3')
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['1', '3', 'end'])
})

test('frames of one tick leave in one write', async (t) => {
  const { server, socket } = await createSubscribed(t, 1)
  const { _socket: transport } = socket as unknown as { _socket: NodeJS.WritableStream }
  const calls: string[] = []
  for (const name of ['cork', 'uncork'] as const) {
    const original = Reflect.get(transport, name)
    Reflect.set(transport, name, (...args: unknown[]) => {
      calls.push(name)
      return Reflect.apply(original, transport, args)
    })
  }
  for (let i = 0; i < 5; i++) server.publish('room', `message ${i}`)
  socket.send('and this')
  t.strictSame(calls, ['cork'])
  await turn()
  t.strictSame(calls, ['cork', 'uncork'])
})

test('a message waits for the last fragment of the one that is being sent', async (t) => {
  const { server, socket, client, members } = await createSubscribed(t, 2)
  socket.send('a', { fin: false })
  server.publish('room', 'between')
  await turn()
  socket.send('b', { fin: false })
  server.publish('room', 'more')
  t.ok(socket.bufferedAmount >= 0)
  socket.send('c')
  server.publish('room', 'behind')
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['abc', 'between', 'more', 'behind', 'end'])
  const other = members[1]?.client ?? client
  t.strictSame(await textsUntil(other, 'behind'), ['between', 'more', 'behind'])
})

test('fragments are finished after the last subscription has ended', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  socket.send('a', { fin: false })
  server.publish('room', 'between')
  socket.unsubscribe('room')
  socket.send('b')
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['ab', 'between', 'end'])
})

test('messages that wait for a fragment count as unsent', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1, { maxBackpressure: 10_000 })
  const errors = record(socket, 'error')
  socket.send('a', { fin: false })
  for (let i = 0; i < 12; i++) server.publish('room', 'x'.repeat(1000))
  await client.closed
  t.match(errors, [[{ code: 'FST_WS_BACKPRESSURE' }]])
})

test('a Blob that is sent first arrives first', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  socket.send(new Blob(['blob']) as unknown as Buffer)
  server.publish('room', 'text')
  server.publish('room', Buffer.from('bytes'))
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['blob', 'text', 'bytes', 'end'])
})

test('a slow subscriber is closed with 1013, and the others are not', async (t) => {
  const { server, socket, client, members } = await createSubscribed(t, 2, {
    maxBackpressure: 100_000
  })
  const errors = record(socket, 'error')
  const other = members[1]?.client ?? client
  client.socket.pause()
  let published = 0
  while (socket.readyState === socket.OPEN) {
    server.publish('room', Buffer.alloc(50_000))
    published++
    await turn()
  }
  server.publish('room', 'end')
  t.match(errors, [[{ code: 'FST_WS_BACKPRESSURE' }]])
  client.socket.resume()
  t.equal((await client.closed).code, 1013)
  t.equal((await textsUntil(other, 'end')).length, published + 1)
})

test('a volatile message is left out where more than highWaterMark is unsent', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1, { highWaterMark: 100_000 })
  client.socket.pause()
  server.publish('room', 'first', { volatile: true })
  while (socket.bufferedAmount <= 100_000) {
    socket.send(Buffer.alloc(200_000))
    await turn()
  }
  const unsent = socket.bufferedAmount
  for (let i = 0; i < 20; i++) server.publish('room', Buffer.alloc(50_000), { volatile: true })
  t.equal(socket.bufferedAmount, unsent)
  server.publish('room', 'end', { volatile: false })
  client.socket.resume()
  const texts = await textsUntil(client, 'end')
  t.equal(texts[0], 'first')
  t.notOk(texts.some(({ length }) => length === 50_000))
})

test('messages that wait for a fragment are unsent also for a volatile one', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1, { highWaterMark: 1000 })
  socket.send('a', { fin: false })
  server.publish('room', 'x'.repeat(2000))
  server.publish('room', 'left out', { volatile: true })
  socket.send('b')
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['ab', 'x'.repeat(2000), 'end'])
})

test('where `send` of ws is wrapped, a message goes through the wrapper', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  const { send } = WebSocket.prototype
  t.teardown(() => { WebSocket.prototype.send = send })
  const seen: string[] = []
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    seen.push(String(args[0]))
    return Reflect.apply(send, this, args)
  }
  server.publish('room', 'text')
  server.publish('room', Buffer.from('bytes'))
  socket.send('end')
  t.strictSame(await textsUntil(client, 'end'), ['text', 'bytes', 'end'])
  t.strictSame(seen, ['text', 'bytes', 'end'])
})

test('a wrapper that throws fails its connection alone', async (t) => {
  const { server, socket, members } = await createSubscribed(t, 2)
  const { send } = WebSocket.prototype
  t.teardown(() => { WebSocket.prototype.send = send })
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    if (this === socket) throw new Error('of an agent')
    return Reflect.apply(send, this, args)
  }
  const errors = record(socket, 'error')
  t.doesNotThrow(() => server.publish('room', 'text'))
  t.match(errors, [[{ message: 'of an agent' }]])
  t.equal(await members[1]?.client.nextText(), 'text')
})

test('a wrapper may subscribe and unsubscribe while a message is delivered', async (t) => {
  const { server, members } = await createSubscribed(t, 4)
  const { send } = WebSocket.prototype
  const [a, b, c, d] = members.map(({ socket }) => socket)
  t.teardown(() => { WebSocket.prototype.send = send })
  const seen: unknown[] = []
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    seen.push(this)
    if (this === b) {
      a?.unsubscribe('room')
      d?.unsubscribe('room')
      a?.subscribe('room')
    }
    return Reflect.apply(send, this, args)
  }
  server.publish('room', 'text')
  t.strictSame(seen.map((socket) => [a, b, c, d].indexOf(socket as typeof a)), [0, 1, 2, 3])
  t.equal(server.subscriberCount('room'), 3)
  server.publish('room', 'again')
  t.equal(seen.length, 7)
})

test('a connection that is lost while it gets messages throws nothing', async (t) => {
  const { server, socket, client } = await createSubscribed(t, 1)
  const closed = once(socket, 'close')
  client.socket.terminate()
  while (socket.readyState !== socket.CLOSED) {
    server.publish('room', Buffer.alloc(10_000))
    await turn()
  }
  t.equal((await closed)[0], 1006)
  t.equal(server.subscriberCount('room'), 0)
})
