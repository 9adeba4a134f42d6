// A callback of the application that fails is an error of its connection, not of the process.
import { test } from 'tap'
import { guardCallback } from '../../src/stream/callback'
import type { SocketStream } from '../../src/stream/duplex'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { createPair, turn, until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

const FAILURE = Object.assign(new Error('callback'), { code: 'CALLBACK' })

type Call = (connection: SocketStream, callback: () => void) => unknown

const calls: Record<string, Call> = {
  'send(data, callback)': ({ socket }, callback) => { socket.send('text', callback) },
  'send(data, options, callback)': ({ socket }, callback) => { socket.send('text', {}, callback) },
  // The types of ws lack Blob, and that the callback may come earlier.
  'send(blob, callback)': ({ socket }, callback) => {
    socket.send(new Blob(['text']) as never, callback)
  },
  'ping(callback)': ({ socket }, callback) => { socket.ping(callback as never) },
  'ping(data, mask, callback)': ({ socket }, callback) => { socket.ping('', false, callback) },
  'pong(data, callback)': ({ socket }, callback) => { socket.pong('', callback as never) },
  'write(chunk, callback)': (connection, callback) => connection.write('text', callback),
  'write(chunk, encoding, callback)': (connection, callback) => {
    connection.write('text', 'utf8', callback)
  },
  'end(callback)': (connection, callback) => connection.end(callback),
  'end(chunk, callback)': (connection, callback) => connection.end('text', callback),
  'end(chunk, encoding, callback)': (connection, callback) => {
    connection.end('text', 'utf8', callback)
  },
  'send after the close': ({ socket }, callback) => {
    socket.close()
    socket.send('text', callback)
  }
}

const failures: Record<string, () => unknown> = {
  throws () { throw FAILURE },
  async rejects () { throw FAILURE }
}

for (const [name, call] of Object.entries(calls)) {
  for (const [fails, callback] of Object.entries(failures)) {
    test(`the callback of ${name} that ${fails} reaches the errorHandler`, async (t) => {
      const uncaught = watchProcess(t)
      const errors: unknown[] = []
      const { origin } = await serve(t, {
        plugin: {
          errorHandler (error) { errors.push(error) },
          handle (connection) { call(connection, callback) }
        }
      })
      await connect(t, origin)
      await until(() => errors.length > 0)
      await turn()
      t.strictSame(errors, [FAILURE])
      t.strictSame(uncaught, [])
    })
  }
}

test('without an errorHandler a callback that throws closes with 1011', async (t) => {
  const uncaught = watchProcess(t)
  const { origin } = await serve(t, {
    plugin: { handle ({ socket }) { socket.send('text', () => { throw FAILURE }) } }
  })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1011)
  t.strictSame(uncaught, [])
})

test('without an owner a callback is called as it is', async (t) => {
  const { stream, client } = await createPair(t)
  let called = 0
  const onSent = (): void => { called++ }
  stream.socket.send('one', onSent)
  stream.write('two', onSent)
  stream.end('three', onSent)
  await client.closed
  await until(() => called === 3)
  t.equal(client.unread.length, 3)
})

test('a guarded callback gets its arguments, and one that succeeds is no failure', async (t) => {
  const errors: unknown[] = []
  const reporter = { report (error: unknown) { errors.push(error) } }
  const seen: unknown[] = []
  guardCallback(async (...args: unknown[]) => { seen.push(...args) }, reporter)(1, 2)
  guardCallback((...args: unknown[]) => { seen.push(...args) }, reporter)(3)
  await turn()
  t.strictSame([seen, errors], [[1, 2, 3], []])
})
