// `request.signal` of Fastify hangs on `close` of the raw request.
import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import type { FastifyRequest } from 'fastify'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { Logs } from '../helpers/logs'
import { serve, type Served } from '../helpers/plugin'
import { turn, until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

const SERVERS: Record<string, () => Served> = {
  'without a logger': () => ({}),
  'with a logger': () => ({ server: { logger: new Logs().logger } })
}

for (const [given, createServed] of Object.entries(SERVERS)) {
  test(`a signal that a handler asked for aborts at the end, ${given}`, async (t) => {
    const signals: AbortSignal[] = []
    const { origin } = await serve(t, {
      ...createServed(),
      plugin: { handle: (_connection, _req, request) => { signals.push(request.signal) } }
    })
    for (const end of ['close', 'terminate'] as const) {
      const client = await connect(t, origin)
      client.socket.ping()
      await once(client.socket, 'pong')
      const signal = signals.at(-1)
      t.equal(signal?.aborted, false)
      client.socket[end]()
      await until(() => signal?.aborted === true)
    }
  })
}

test('the signal that a hook asks for aborts when the connection ends', async (t) => {
  const signals: AbortSignal[] = []
  const { fastify, origin } = await serve(t, {
    plugin: { handle: () => {} },
    declare: (fastify) => fastify.addHook('onRequest', async (request) => {
      signals.push(request.signal)
    })
  })
  await connect(t, origin)
  await turn()
  t.equal(signals[0]?.aborted, false)
  await fastify.close()
  t.equal(signals[0]?.aborted, true)
})

test('the signal that is asked for after the end aborts', async (t) => {
  const requests: FastifyRequest[] = []
  const { fastify, origin } = await serve(t, {
    plugin: { handle: (_connection, _req, request) => { requests.push(request) } }
  })
  const client = await connect(t, origin)
  client.close()
  await client.closed
  await until(() => fastify.websocketServer.clients.size === 0)
  const signal = requests[0]?.signal
  await until(() => signal?.aborted === true)
})

test('a listener of close on the raw request hears the end once, in its context', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: ({ socket }, req) => {
        req.on('error', () => {})
        for (const name of ['first', 'second']) {
          req.on('close', () => { seen.push([name, storage.getStore()]) })
        }
        socket.on('close', () => { seen.push('socket') })
      }
    },
    declare: (fastify) => fastify.addHook('onRequest', (request, _reply, done) => {
      storage.run(request.url, done)
    })
  })
  const client = await connect(t, `${origin}/path`)
  client.close()
  await client.closed
  await fastify.close()
  t.strictSame(seen, [['first', '/path'], ['second', '/path'], 'socket'])
})

test('the end of a connection is no abort of its request', async (t) => {
  const calls: string[] = []
  const { fastify, origin } = await serve(t, {
    plugin: { handle: () => {} },
    declare: (fastify) => fastify.addHook('onRequestAbort', async (_request) => {
      calls.push('abort')
    })
  })
  const client = await connect(t, origin)
  client.socket.terminate()
  await client.closed
  await fastify.close()
  t.strictSame(calls, [])
})

test('a listener of close on the raw request that throws is reported', async (t) => {
  const uncaught = watchProcess(t)
  const errors = new EventEmitter()
  const { origin } = await serve(t, {
    plugin: {
      handle: (_connection, req) => { req.on('close', () => { throw new Error('odd') }) },
      errorHandler: (error) => { errors.emit('failed', error) }
    }
  })
  const client = await connect(t, origin)
  const failed = once(errors, 'failed')
  client.close()
  t.match(await failed, [{ message: 'odd' }])
  t.strictSame(uncaught, [])
})
