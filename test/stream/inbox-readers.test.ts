// Readers that come and go, and those that come after the peer has gone.
import { once } from 'node:events'
import { test } from 'tap'
import { inboxOf } from '../../src/stream/inbox'
import { ping } from '../helpers/client'
import { frame } from '../helpers/raw'
import { recordTimers } from '../helpers/timers'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'

const FIN_TEXT = 0x81

test('a listener never runs inside its own registration', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('waits')
  await ping(client)
  for (const register of ['on', 'addListener', 'once', 'prependListener'] as const) {
    const { stream, client } = await createPair(t)
    client.send('waits')
    await ping(client)
    const messages: unknown[] = []
    stream.socket[register]('message', (data: unknown) => { messages.push(data) })
    t.strictSame(messages, [], register)
    await turn()
    t.strictSame(messages, ['waits'], register)
  }
  const data: unknown[][] = []
  stream.addListener('data', (...args) => { data.push(args) })
  t.strictSame(data, [])
  await turn()
  t.strictSame(data, [[Buffer.from('waits')]])
})

test('a reader that leaves before the next tick leaves the messages to the next one', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('waits')
  await ping(client)
  const gone = (): void => { t.fail('the listener has left') }
  stream.socket.on('message', gone)
  stream.socket.off('message', gone)
  await turn()
  t.strictSame(await once(stream.socket, 'message'), ['waits', false])
})

test('a data listener that leaves makes messages wait, and resume() alone discards', async (t) => {
  const { stream, client } = await createPair(t)
  const first = once(stream, 'data')
  client.send('one')
  t.strictSame(await first, [Buffer.from('one')])
  client.send('two')
  await ping(client)
  t.strictSame(await once(stream, 'data'), [Buffer.from('two')])
  stream.resume()
  client.send('three')
  await ping(client)
  const data = record(stream, 'data')
  client.send('four')
  await once(stream, 'data')
  t.strictSame(data, [[Buffer.from('four')]])
})

test('to destroy the stream inside a listener stops what waits', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  client.send('two')
  await ping(client)
  const messages = record(stream.socket, 'message')
  stream.socket.once('message', () => { stream.destroy() })
  await client.closed
  await once(stream, 'close')
  t.strictSame(messages, [['one', false]])
})

test('listeners get what waited before `close`', async (t) => {
  const { stream, client } = await createPair(t)
  const order: unknown[] = []
  stream.socket.on('close', () => { order.push('close') })
  client.send('one')
  client.send('two')
  await ping(client)
  client.socket.terminate()
  // The close is seen in a later turn than this registration, whose delivery is due before it.
  stream.socket.pause()
  stream.socket.on('message', (data) => { order.push(data) })
  stream.socket.resume()
  await once(stream, 'close')
  t.strictSame(order, ['one', 'two', 'close'])
})

test('messages that a paused listener was not given yet come before `close`', async (t) => {
  const { stream, client } = await createRawPair(t)
  const { socket } = stream
  const order: unknown[] = []
  socket.on('close', () => { order.push('close') })
  socket.on('message', (data) => { order.push(data) })
  socket.once('message', () => { socket.pause() })
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  await until(() => order.length > 0)
  socket.terminate()
  await once(socket, 'close')
  t.strictSame(order, ['one', 'two', 'close'])
})

test('a running handler may read what was kept after the peer has gone', async (t) => {
  const timers = recordTimers(t)
  const { stream, client } = await createPair(t)
  const closed = once(stream, 'close')
  inboxOf(stream.socket).startHandling()
  client.send('one')
  client.send('two')
  client.close()
  await once(stream.socket, 'close')
  t.strictSame(await once(stream.socket, 'message'), ['one', false])
  t.strictSame(await once(stream.socket, 'message'), ['two', false])
  await closed
  await client.closed
  t.strictSame([...timers.values()], [])
})

test('the stream of a handler that reads late ends after what was kept', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  t.strictSame(await stream.toArray(), [Buffer.from('kept')])
  t.equal(stream.closed, true)
})

test('a handler that ends without reading gives up what was kept', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  t.equal(stream.destroyed, false)
  inboxOf(stream.socket).endHandling()
  t.equal(stream.destroyed, true)
})

test('what was kept is given up pauseTimeout after the close', async (t) => {
  const { stream, client } = await createPair(t, { pauseTimeout: 5 })
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream, 'close')
  t.equal(stream.closeCode, 1005)
})

test('a handler that ends between its registration and the delivery loses nothing', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  const messages = record(stream.socket, 'message')
  inboxOf(stream.socket).endHandling()
  await once(stream, 'close')
  t.strictSame(messages, [['kept', false]])
})
