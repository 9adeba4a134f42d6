// A tracing agent replaces methods of ws, perhaps before anything else is loaded.
import { once } from 'node:events'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../../helpers/client'
import { createHttp, type Teardown } from '../../helpers/servers'

type Method = (this: unknown, ...args: unknown[]) => unknown

/** Replaces a method of ws, until the test ends, by one that keeps its first argument. */
function trace (t: Teardown, name: string): unknown[] {
  const calls: unknown[] = []
  const isOwn = Object.hasOwn(WebSocket.prototype, name)
  const original: Method = Reflect.get(WebSocket.prototype, name)
  const traced: Method = function (...args) {
    if (this instanceof WebSocket && this.url === undefined) calls.push(args[0])
    return original.apply(this, args)
  }
  Object.assign(WebSocket.prototype, { [name]: traced })
  t.teardown(() => {
    if (isOwn) Object.assign(WebSocket.prototype, { [name]: original })
    else Reflect.deleteProperty(WebSocket.prototype, name)
  })
  return calls
}

/** A pair, of a module that is loaded only now. */
async function createPair (t: Teardown) {
  const { createServer } = require('../../../src/stream/server')
  const { server: http, origin } = await createHttp(t)
  const server = createServer({ server: http })
  const [[stream], client] = await Promise.all([once(server, 'stream'), connect(t, origin)])
  return { stream, socket: stream.socket, client }
}

for (const when of ['before the module is loaded', 'after it']) {
  test(`each message goes through a send that was wrapped ${when}`, async (t) => {
    const calls = trace(t, 'send')
    const { stream, socket, client } = await createPair(t)
    socket.send('one')
    socket.send(Buffer.from('two'))
    stream.write('three')
    socket.send('four', () => {})
    for (const text of ['one', 'two', 'three', 'four']) t.equal(await client.nextText(), text)
    t.strictSame(calls.map(String), ['one', 'two', 'three', 'four'])
  })
}

test('a send that is wrapped while a connection is open sees what follows', async (t) => {
  const { socket, client } = await createPair(t)
  socket.send('one')
  t.equal(await client.nextText(), 'one')
  const calls = trace(t, 'send')
  socket.send('two')
  t.equal(await client.nextText(), 'two')
  t.strictSame(calls, ['two'])
})

test('ping, pong, close and emit that are wrapped are called', async (t) => {
  const names = ['ping', 'pong', 'close', 'emit']
  const traces = new Map(names.map((name) => [name, trace(t, name)]))
  const { socket, client } = await createPair(t)
  socket.on('message', () => { socket.close(4000) })
  socket.ping('ping')
  socket.pong('pong')
  client.send('text')
  t.equal((await client.closed).code, 4000)
  t.strictSame(traces.get('ping'), ['ping'])
  t.strictSame(traces.get('pong'), ['pong'])
  t.ok(traces.get('close')?.includes(4000))
  t.ok(traces.get('emit')?.includes('message'))
})
