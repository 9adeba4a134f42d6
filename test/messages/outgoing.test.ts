import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { connect } from '../helpers/client'
import { ERROR, Logs } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import type { Teardown } from '../helpers/servers'

const OUTGOING = {
  outgoing: {
    type: 'object',
    required: ['n'],
    properties: { n: { type: 'integer' }, list: { type: 'array', items: { type: 'string' } } }
  }
}
const INCOMING = { incoming: { type: 'object' } }
const ANY = { outgoing: {} }
const UNION = { outgoing: { anyOf: [{ type: 'string' }, {}] } }

/** Serves `handler` at `/`, with a schema. */
function serveHandler (
  t: Teardown, schema: object, handler: WebsocketHandler, logs = new Logs()
): ReturnType<typeof serve> {
  return serve(t, {
    server: { logger: logs.logger },
    declare: (fastify) => { fastify.get('/', { websocket: true, schema }, handler) }
  })
}

test('what is written becomes text by the schema, without fields that it lacks', async (t) => {
  const { origin } = await serveHandler(t, OUTGOING, (connection) => {
    connection.write({ n: '7', list: [1], secret: true })
    connection.end({ n: 8 })
  })
  const client = await connect(t, origin)
  const { text, isBinary } = await client.next()
  t.same([text, isBinary], ['{"n":7,"list":["1"]}', false])
  t.equal(await client.nextText(), '{"n":8}')
  t.match(await client.closed, { code: 1000 })
})

test('values written at once are messages of their own, in order', async (t) => {
  const { origin } = await serveHandler(t, OUTGOING, (connection) => {
    connection.cork()
    for (const n of [1, 2, 3]) connection.write({ n })
    connection.uncork()
  })
  const client = await connect(t, origin)
  for (const n of [1, 2, 3]) t.equal(await client.nextText(), `{"n":${n}}`)
})

test('connection.serialize gives the text that write sends', async (t) => {
  const { origin } = await serveHandler(t, OUTGOING, (connection) => {
    const text = connection.serialize({ n: '7', secret: true })
    connection.socket.send(text)
    connection.socket.send(text)
  })
  const client = await connect(t, origin)
  t.equal(await client.nextText(), '{"n":7}')
  t.equal(await client.nextText(), '{"n":7}')
})

test('without a schema for outgoing messages, any JSON is sent', async (t) => {
  const { origin } = await serveHandler(t, INCOMING, (connection) => {
    for (const value of ['text', 7, true, [1], { a: { b: 1 } }]) connection.write(value)
    connection.socket.send(connection.serialize(null))
  })
  const client = await connect(t, origin)
  const expected = ['"text"', '7', 'true', '[1]', '{"a":{"b":1}}', 'null']
  for (const text of expected) t.equal(await client.nextText(), text)
})

test('a text that reads undefined is a value like any other', async (t) => {
  for (const schema of [INCOMING, ANY, { outgoing: { type: 'string' } }]) {
    const { origin } = await serveHandler(t, schema, (connection) => {
      connection.write('undefined')
    })
    const client = await connect(t, origin)
    t.equal(await client.nextText(), '"undefined"')
  }
})

test('without a schema for incoming messages, any JSON but null is read', async (t) => {
  const { origin } = await serveHandler(t, OUTGOING, (connection) => {
    connection.on('data', (value) => { connection.socket.send(JSON.stringify([value])) })
  })
  const client = await connect(t, origin)
  for (const text of ['"text"', '7', 'false', '0', '""', '[1]']) {
    client.send(text)
    t.equal(await client.nextText(), `[${text}]`)
  }
  client.send(' null ')
  t.same(await client.closed, { code: 1008, reason: 'message is null' })
})

test('connection.serialize works without a schema as well, as JSON', async (t) => {
  for (const objectMode of [true, false]) {
    const { origin } = await serve(t, {
      plugin: { options: { objectMode } },
      declare: (fastify) => {
        fastify.get('/', { websocket: true }, (connection) => {
          connection.socket.send(connection.serialize({ a: 1 }))
        })
      }
    })
    const client = await connect(t, origin)
    t.equal(await client.nextText(), '{"a":1}')
  }
})

const circle: { self?: unknown } = {}
circle.self = circle

const UNSENDABLE: ReadonlyArray<readonly [title: string, schema: object, value: unknown]> = [
  ['a value without a field that the schema requires', OUTGOING, { list: [] }],
  ['a value of another type than the schema says', OUTGOING, { n: {} }],
  ['a function', INCOMING, () => {}],
  ['a circle', INCOMING, circle],
  ['a BigInt', INCOMING, 1n],
  ['nothing', INCOMING, undefined],
  ['nothing where the schema allows any value', ANY, undefined],
  ['a symbol where the schema allows any value', ANY, Symbol('none')],
  ['a function where the schema allows any value', ANY, () => {}],
  ['a toJSON that returns nothing', ANY, { toJSON () {} }],
  ['nothing in a union with any value', UNION, undefined]
]

for (const [title, schema, value] of UNSENDABLE) {
  test(`${title} is a fault of the application: 1011 and an error line`, async (t) => {
    const logs = new Logs()
    const { origin } = await serveHandler(t, schema, (connection) => {
      t.throws(() => connection.serialize(value), { code: 'FST_WS_INVALID_VALUE' })
      connection.write(value)
    }, logs)
    const client = await connect(t, origin)
    t.match(await client.closed, { code: 1011 })
    const { level, err } = await logs.find('websocket connection failed')
    t.match({ level, err }, { level: ERROR, err: { code: 'FST_WS_INVALID_VALUE' } })
    t.same(client.unread, [])
  })
}

const NO_TEXTS: ReadonlyArray<readonly [title: string, serialize: () => unknown]> = [
  ['bytes', () => Buffer.from('{}')],
  ['a promise', async () => '{}'],
  ['a promise that rejects', () => Promise.reject(new Error('late'))],
  ['nothing', () => {}]
]

for (const [title, serialize] of NO_TEXTS) {
  test(`a serializer that gives ${title} is a fault of the application`, async (t) => {
    const logs = new Logs()
    const { origin } = await serve(t, {
      server: { logger: logs.logger },
      declare: (fastify) => {
        // The types of Fastify allow only text.
        const compilers: object = { serializerCompiler: () => serialize }
        fastify.get('/', { ...compilers, websocket: true, schema: OUTGOING }, (connection) => {
          connection.write({ n: 1 })
        })
      }
    })
    const client = await connect(t, origin)
    t.match(await client.closed, { code: 1011 })
    const { err } = await logs.find('websocket connection failed')
    t.equal(err?.code, 'FST_WS_INVALID_VALUE')
  })
}
