import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createNetServer } from 'node:net'
import { test } from 'tap'
import { createServer, WebSocketStreamServer } from '../../src/stream/server'
import { SocketStream } from '../../src/stream/duplex'
import { kStream } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { createHttp, portOf } from '../helpers/servers'
import { record, serveStreams } from '../helpers/streams'

test('createServer makes a server whose listener gets streams and requests', async (t) => {
  const { server: http, origin } = await createHttp(t)
  const opened = new Promise<unknown[]>((resolve) => {
    const server = createServer({ server: http }, (...args) => { resolve(args) })
    t.ok(server instanceof WebSocketStreamServer)
  })
  await connect(t, `${origin}/path?query`)
  const [stream, request] = await opened
  t.ok(stream instanceof SocketStream)
  t.match(request, { url: '/path?query' })
})

test('options are optional', async (t) => {
  t.throws(() => createServer(), /port|server|noServer/)
  t.throws(() => new WebSocketStreamServer(), TypeError)
})

test('the class of sockets cannot be replaced', async (t) => {
  const wrong: object = { noServer: true, WebSocket: class {} }
  t.throws(() => createServer(wrong), { code: 'FST_WS_UNSUPPORTED_OPTION' })
  const none: object = { noServer: true, WebSocket: undefined }
  t.doesNotThrow(() => createServer(none))
})

test('options of a class, and inherited ones, are options', async (t) => {
  class Options {
    get noServer () { return true }
    get maxPayload () { return 10 }
    get objectMode () { return true }
  }
  for (const options of [new Options(), Object.create(new Options())]) {
    const server = createServer(options)
    t.match(server.options, { noServer: true, maxPayload: 10 })
    t.equal(server.streamSettings.objectMode, true)
  }
})

test('an invalid option of the stream is refused before a port is opened', async (t) => {
  const free = createNetServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const port = portOf(free)
  free.close()
  await once(free, 'close')
  const options = { port, host: '127.0.0.1', highWaterMark: -1 }
  t.throws(() => createServer(options), { code: 'FST_WS_INVALID_OPTION' })
  const again = createNetServer().listen(port, '127.0.0.1')
  t.teardown(() => { again.close() })
  await once(again, 'listening')
})

test('emits connection with the socket of the stream', async (t) => {
  const { server, origin } = await serveStreams(t)
  const sockets = record(server, 'connection')
  const streams = record(server, 'stream')
  await connect(t, origin)
  t.equal(streams.length, 1)
  const [[stream] = []] = streams
  const [[socket] = []] = sockets
  t.ok(stream instanceof SocketStream && stream.socket === socket)
})

test('makes no stream where nobody listens for it', async (t) => {
  const { server, origin } = await serveStreams(t)
  const connected = once(server, 'connection')
  await connect(t, origin)
  const [socket] = await connected
  t.equal(socket[kStream], null)
})

test('a stream made in a connection listener is the one that is emitted', async (t) => {
  const { server, origin } = await serveStreams(t)
  const made: SocketStream[] = []
  server.prependListener('connection', (socket) => { made.push(new SocketStream(socket)) })
  const streams = record(server, 'stream')
  await connect(t, origin)
  t.ok(streams[0]?.[0] === made[0])
})

test('works with noServer and a handleUpgrade of the user', async (t) => {
  const server = createServer({ noServer: true, objectMode: true }, (stream) => {
    stream.pipe(stream)
  })
  const http = createHttpServer()
  t.teardown(() => { http.close() })
  http.on('upgrade', (request, socket, head) => {
    server.handleUpgrade(request, socket, head, (socket, request) => {
      server.emit('connection', socket, request)
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const client = await connect(t, `ws://127.0.0.1:${portOf(http)}`)
  client.send('text')
  t.match(await client.next(), { text: 'text', isBinary: false })
})

test('a SocketStream checks its own options', async (t) => {
  const { server, origin } = await serveStreams(t)
  const connected = once(server, 'connection')
  await connect(t, origin)
  const [socket] = await connected
  const wrong = { pauseTimeout: -1 }
  t.throws(() => new SocketStream(socket, wrong), { code: 'FST_WS_INVALID_OPTION' })
})
