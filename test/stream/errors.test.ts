import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { test, type Test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import type { WebsocketHandler } from '../../src/types'
import { connect, type Client } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { turn, until } from '../helpers/streams'

const FAILURE = Object.assign(new Error('listener'), { code: 'LISTENER' })
const FIN_TEXT = 0x81

/** What came to the `errorHandler` of the plugin, and the connection it came from. */
interface Reported {
  readonly errors: unknown[]
  readonly connections: SocketStream[]
  readonly origin: string
}

/** Serves `handler`, with an `errorHandler` that keeps all errors and does nothing else. */
async function serveReporting (t: Test, handler: WebsocketHandler): Promise<Reported> {
  const errors: unknown[] = []
  const connections: SocketStream[] = []
  const { origin } = await serve(t, {
    plugin: { errorHandler (error) { errors.push(error) } },
    declare (fastify) {
      const run: WebsocketHandler = function (connection, ...rest) {
        connections.push(connection)
        return handler.call(this, connection, ...rest)
      }
      fastify.get('/', { websocket: true }, run)
    }
  })
  return { errors, connections, origin }
}

// --- Listeners ---

type Listen = (connection: SocketStream, listener: () => unknown) => unknown

const listens: Record<string, { listen: Listen, provoke: (client: Client) => void }> = {
  "socket.on('message')": {
    listen: ({ socket }, listener) => socket.on('message', listener),
    provoke: (client) => { client.send('text') }
  },
  "socket.once('message')": {
    listen: ({ socket }, listener) => socket.once('message', listener),
    provoke: (client) => { client.send('text') }
  },
  "socket.addEventListener('message')": {
    listen: ({ socket }, listener) => { socket.addEventListener('message', listener) },
    provoke: (client) => { client.send('text') }
  },
  "socket.addEventListener('message') with an object": {
    listen: ({ socket }, listener) => {
      socket.addEventListener('message', { handleEvent: listener })
    },
    provoke: (client) => { client.send('text') }
  },
  'socket.onmessage': {
    listen: ({ socket }, listener) => { socket.onmessage = listener },
    provoke: (client) => { client.send('text') }
  },
  "socket.on('ping')": {
    listen: ({ socket }, listener) => socket.on('ping', listener),
    provoke: ({ socket }) => { socket.ping() }
  },
  "socket.on('close')": {
    listen: ({ socket }, listener) => socket.on('close', listener),
    provoke: (client) => { client.close() }
  },
  'socket.onclose': {
    listen: ({ socket }, listener) => { socket.onclose = listener },
    provoke: (client) => { client.close() }
  },
  "connection.on('data')": {
    listen: (connection, listener) => connection.on('data', listener),
    provoke: (client) => { client.send('text') }
  },
  "connection.on('readable')": {
    listen: (connection, listener) => connection.once('readable', listener),
    provoke: (client) => { client.send('text') }
  },
  "connection.on('end')": {
    listen: (connection, listener) => connection.resume().on('end', listener),
    provoke: (client) => { client.close() }
  },
  "connection.on('close')": {
    listen: (connection, listener) => connection.on('close', listener),
    provoke: (client) => { client.close() }
  }
}

const failures: Record<string, () => unknown> = {
  throws () { throw FAILURE },
  async rejects () { throw FAILURE }
}

for (const [name, { listen, provoke }] of Object.entries(listens)) {
  for (const [fails, listener] of Object.entries(failures)) {
    test(`a listener that ${fails} at ${name} reaches the errorHandler`, async (t) => {
      const { errors, origin } = await serveReporting(t, (connection) => {
        listen(connection, listener)
      })
      provoke(await connect(t, origin))
      await until(() => errors.length > 0)
      t.strictSame(errors, [FAILURE])
    })
  }
}

for (const [fails, listener] of Object.entries(failures)) {
  test(`error listeners that ${fails} reach the errorHandler beside the error`, async (t) => {
    const { errors, origin } = await serveReporting(t, (connection) => {
      connection.on('error', listener)
      connection.socket.on('error', listener)
    })
    const client = new RawClient(t, Number(new URL(origin).port))
    client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(FIN_TEXT | 0x40)]))
    await client.closed
    await until(() => errors.length > 1)
    await turn()
    t.match(errors, [{ code: 'WS_ERR_UNEXPECTED_RSV_1' }, { code: 'LISTENER' }])
    t.equal(errors.length, 2, 'each error once')
  })
}

test('after a listener has failed, the connection is as the errorHandler left it', async (t) => {
  const { errors, origin } = await serveReporting(t, ({ socket }) => {
    socket.on('message', (text) => {
      if (text === 'fail') throw new Error('fail')
      socket.send(text)
    })
  })
  const client = await connect(t, origin)
  for (const text of ['one', 'fail', 'fail', 'two']) client.send(text)
  t.equal(await client.nextText(), 'one')
  t.equal(await client.nextText(), 'two')
  t.equal(errors.length, 2)
})

test('a message listener that throws does not keep the message from the stream', async (t) => {
  const { errors, origin } = await serveReporting(t, (connection) => {
    connection.socket.on('message', () => { throw FAILURE })
    connection.pipe(connection)
  })
  const client = await connect(t, origin)
  client.send('text')
  t.equal(await client.nextText(), 'text')
  t.strictSame(errors, [FAILURE])
})

test('removeEventListener removes what addEventListener has added', async (t) => {
  const { origin } = await serveReporting(t, ({ socket }) => {
    const once = (): void => {
      socket.removeEventListener('message', once)
      socket.send('once')
    }
    socket.addEventListener('message', once)
    socket.addEventListener('message', once)
    socket.addEventListener('message', () => { socket.send('always') })
    socket.addEventListener('message', () => { socket.send('first') }, { once: true })
  })
  const client = await connect(t, origin)
  client.send('one')
  client.send('two')
  const texts: string[] = []
  for (let i = 0; i < 4; i++) texts.push(await client.nextText())
  t.strictSame(texts, ['once', 'always', 'first', 'always'])
})

// --- The connection itself ---

test('a lost connection is reported once, read or not', async (t) => {
  for (const isRead of [false, true]) {
    const { errors, connections, origin } = await serveReporting(t, (connection) => {
      if (isRead) connection.resume()
    })
    const client = await connect(t, origin)
    client.socket.terminate()
    await until(() => connections[0]?.closed === true)
    t.match(errors, [{ code: 'FST_WS_ABNORMAL_CLOSE' }])
    t.equal(errors.length, 1)
  }
})

test('a connection that is lost while its handler runs is reported once', async (t) => {
  let finish = (): void => {}
  const finished = new Promise<void>((resolve) => { finish = resolve })
  const { errors, connections, origin } = await serveReporting(t, () => finished)
  const client = await connect(t, origin)
  client.socket.terminate()
  await until(() => errors.length > 0)
  finish()
  await until(() => connections[0]?.closed === true)
  await turn()
  t.equal(errors.length, 1)
})

test('to terminate a connection is no error of it', async (t) => {
  const { errors, connections, origin } = await serveReporting(t, ({ socket }) => {
    socket.terminate()
  })
  await (await connect(t, origin)).closed
  await until(() => connections[0]?.closed === true)
  t.strictSame(errors, [])
})

test('an error is reported once, whatever happens until the stream emits it', async (t) => {
  const { errors, connections, origin } = await serveReporting(t, (connection) => {
    connection.socket.on('close', () => { throw FAILURE })
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(FIN_TEXT | 0x40)]))
  await until(() => connections[0]?.closed === true)
  t.match(errors, [{ code: 'WS_ERR_UNEXPECTED_RSV_1' }, FAILURE])
  t.equal(errors.length, 2)
})

test('what is thrown is reported as an Error, as often as it is thrown', async (t) => {
  const { errors, origin } = await serveReporting(t, ({ socket }) => {
    // eslint-disable-next-line no-throw-literal -- what applications do
    socket.on('message', () => { throw 'text' })
  })
  const client = await connect(t, origin)
  client.send('one')
  client.send('two')
  await until(() => errors.length === 2)
  t.match(errors, [{ cause: 'text' }, { cause: 'text' }])
  t.ok(errors.every((error) => error instanceof Error))
})

test('to leave for await by break is no error, and closes with 1000', async (t) => {
  const { errors, connections, origin } = await serveReporting(t, async (connection) => {
    const chunks: unknown[] = []
    for await (const chunk of connection) if (chunks.push(chunk) === 1) break
  })
  const client = await connect(t, origin)
  client.send('text')
  t.match(await client.closed, { code: 1000 })
  await until(() => connections[0]?.closed === true)
  t.strictSame(errors, [])
})

test('what came before a reset is read, though nobody handles errors', async (t) => {
  const chunks: unknown[] = []
  let connection: SocketStream | undefined
  const handler: WebsocketHandler = (stream) => {
    connection = stream
    stream.once('readable', () => {})
  }
  const { origin } = await serve(t, {
    declare (fastify) { fastify.get('/', { websocket: true }, handler) }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(FIN_TEXT, 'text')]))
  await until(() => connection?.readableLength === 4)
  client.socket.resetAndDestroy()
  await until(() => connection?.closeCode === 1006)
  connection?.on('data', (chunk) => { chunks.push(chunk) })
  await until(() => connection?.closed === true)
  t.strictSame(chunks, [Buffer.from('text')])
})

// --- Context ---

test('every listener runs in the asynchronous context of the request', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen = new Map<string, string | undefined>()
  let finish = (): void => {}
  const handler: WebsocketHandler = (connection) => {
    const note = (event: string) => () => { seen.set(event, storage.getStore()) }
    connection.on('data', note('data'))
    for (const event of ['end', 'finish', 'close']) connection.on(event, note(`stream ${event}`))
    for (const event of ['message', 'ping', 'pong', 'close']) {
      connection.socket.on(event, note(`socket ${event}`))
    }
    connection.socket.ping()
    return new Promise<void>((resolve) => { finish = resolve })
  }
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequest', (_request, _reply, done) => { storage.run('request', done) })
      fastify.get('/', { websocket: true }, handler)
    }
  })
  const client = await connect(t, origin)
  await until(() => seen.has('socket pong'))
  client.send('text')
  client.socket.ping()
  await once(client.socket, 'pong')
  client.close()
  await until(() => seen.size === 8)
  finish()
  t.strictSame([...new Set(seen.values())], ['request'])
})
