import { once } from 'node:events'
import { test } from 'tap'
import type { FastifyServerOptions } from 'fastify'
import type {
  WebsocketErrorHandler, WebsocketHandler, WebsocketPluginOptions
} from '../../src/types'
import { connect, ping } from '../helpers/client'
import { DEBUG, ERROR, INFO, Logs } from '../helpers/logs'
import { serve, type Served } from '../helpers/plugin'
import { RawClient, frame, upgradeHead } from '../helpers/raw'
import type { Teardown } from '../helpers/servers'

const TEXT_FRAME = 0x81
const NUMBER = {
  incoming: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } }
}

const echo: WebsocketHandler = (connection) => { connection.pipe(connection) }

/** Serves an echo of valid messages at `/`. */
function serveEcho (
  t: Teardown, errorHandler?: WebsocketErrorHandler, served: Served = {}, handler = echo
): ReturnType<typeof serve> {
  return serve(t, {
    ...served,
    declare: (fastify) => {
      fastify.get('/', { websocket: { errorHandler }, schema: NUMBER }, handler)
    }
  })
}

test('a thousand invalid messages are one line in the log, at the level info', async (t) => {
  const logs = new Logs()
  const { origin } = await serveEcho(t, undefined, { server: { logger: logs.logger } })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  client.write(Buffer.concat(Array.from({ length: 1000 }, (_, i) => {
    return frame(TEXT_FRAME, i % 2 === 0 ? 'no JSON' : '{"n":"x"}')
  })))
  await client.until('message is not valid JSON')
  client.socket.end()
  await client.closed
  const lines = logs.lines.filter(({ level, err }) => level > DEBUG && err !== undefined)
  t.match(lines, [{
    level: INFO,
    msg: 'websocket peer broke a rule',
    err: { code: 'FST_WS_INVALID_MESSAGE', message: 'message is not valid JSON' }
  }])
  t.equal(lines.length, 1)
})

test('errorHandler gets what is wrong with a message, and the connection goes on', async (t) => {
  const errors: Error[] = []
  const { origin } = await serveEcho(t, (error, connection) => {
    errors.push(error)
    connection.write({ sorry: error.message })
  })
  const client = await connect(t, origin)
  client.send('{"n":"x"}')
  t.equal(await client.nextText(), '{"sorry":"message/n must be integer"}')
  client.send('nothing')
  t.equal(await client.nextText(), '{"sorry":"message is not valid JSON"}')
  client.send('{"n":1}')
  t.equal(await client.nextText(), '{"n":1}')

  const [invalid, noJson] = errors
  t.match(invalid, {
    code: 'FST_WS_INVALID_MESSAGE',
    statusCode: 400,
    closeCode: 1008,
    closeReason: 'message/n must be integer',
    validationContext: 'message',
    validation: [{ instancePath: '/n', keyword: 'type' }],
    cause: undefined
  })
  t.match(noJson, { closeCode: 1007, validation: undefined, cause: SyntaxError })
})

test('errorHandler of a route is for this route, with its instance as this', async (t) => {
  const seen: string[] = []
  const plugin: WebsocketPluginOptions = {
    errorHandler (_error, connection) {
      seen.push(`plugin ${this.prefix}`)
      connection.destroy()
    }
  }
  const { origin } = await serve(t, {
    plugin,
    declare: (fastify) => {
      fastify.get('/theirs', { websocket: true, schema: NUMBER }, echo)
      fastify.register(async (scope) => {
        scope.get('/ours', {
          websocket: {
            errorHandler (error, connection, request) {
              seen.push(`${request.url} ${this.prefix}`)
              connection.destroy(error)
            }
          },
          schema: NUMBER
        }, echo)
      }, { prefix: '/scope' })
    }
  })
  const ours = await connect(t, `${origin}/scope/ours`)
  ours.send('{"n":"x"}')
  t.same(await ours.closed, { code: 1008, reason: 'message/n must be integer' })
  const theirs = await connect(t, `${origin}/theirs`)
  theirs.send('{"n":"x"}')
  t.match(await theirs.closed, { code: 1000 })
  t.same(seen, ['/scope/ours /scope', 'plugin '])
})

test('a loop that reads rejects with the error of an invalid message', async (t) => {
  let fail = (_error: unknown): void => {}
  const failure = new Promise((resolve) => { fail = resolve })
  const { origin } = await serveEcho(t, undefined, {}, async (connection) => {
    try {
      for await (const message of connection) connection.write(message)
    } catch (error) {
      fail(error)
    }
  })
  const client = await connect(t, origin)
  client.send('{"n":1}')
  t.equal(await client.nextText(), '{"n":1}')
  client.send('{}')
  t.match(await client.closed, { code: 1008 })
  t.match(await failure, { code: 'FST_WS_INVALID_MESSAGE' })
})

test('a close reason is cut at a whole character', async (t) => {
  const pattern = `${'ä'.repeat(60)}$`
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', {
        websocket: true, schema: { incoming: { type: 'string', pattern } }
      }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send('""')
  const { code, reason } = await client.closed
  t.equal(code, 1008)
  const text = `message must match pattern "${pattern}"`
  t.ok(text.startsWith(reason), reason)
  t.equal(Buffer.byteLength(reason), 122, 'the next character would be the 123rd and 124th byte')
})

test('a validator that finds everything wrong is told in a short text', async (t) => {
  const errors: Array<Error & { validation?: unknown[] }> = []
  const server: FastifyServerOptions = { ajv: { customOptions: { allErrors: true } } }
  const { origin } = await serve(t, {
    server,
    declare: (fastify) => {
      fastify.get('/', {
        websocket: { errorHandler: (error) => { errors.push(error) } },
        schema: { incoming: { type: 'array', items: { type: 'integer' } } }
      }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send(JSON.stringify(Array.from({ length: 1000 }, () => 'x')))
  client.send('[1]')
  t.equal(await client.nextText(), '[1]')
  t.equal(errors[0]?.validation?.length, 1000)
  t.ok(Number(errors[0]?.message.length) < 200, errors[0]?.message.slice(0, 300) ?? '')
  t.notOk(Object.keys(errors[0] ?? {}).includes('validation'), 'a logger would write all of it')
})

test('a long key of a message makes no long text', async (t) => {
  const errors: Error[] = []
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', {
        websocket: { errorHandler: (error) => { errors.push(error) } },
        schema: { incoming: { type: 'object', additionalProperties: { type: 'integer' } } }
      }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send(JSON.stringify({ ['k'.repeat(100_000)]: 'x' }))
  client.send('{}')
  t.equal(await client.nextText(), '{}')
  t.equal(errors[0]?.message.length, 1000)
})

test('the error of a message listener does not hide an invalid message', async (t) => {
  const logs = new Logs()
  const { origin } = await serveEcho(t, undefined, {
    server: { logger: logs.logger }
  }, (connection) => {
    connection.on('data', () => {})
    connection.socket.once('message', () => { throw new Error('of the listener') })
  })
  const client = await connect(t, origin)
  client.send('{}')
  t.match(await client.closed, { code: 1008 })
})

test('a connection that only writes gets no message validated', async (t) => {
  const errors: Error[] = []
  const { origin } = await serveEcho(t, (error) => { errors.push(error) }, {}, (connection) => {
    connection.write({ hello: 1 })
  })
  const client = await connect(t, origin)
  client.send('no JSON')
  t.equal(await client.nextText(), '{"hello":1}')
  await ping(client)
  t.same(errors, [])
})

test('socket.on("message") gets each message raw, an invalid one too', async (t) => {
  const { origin } = await serveEcho(t, undefined, {}, ({ socket }) => {
    socket.on('message', (message) => { socket.send(`raw ${message}`) })
  })
  const client = await connect(t, origin)
  client.send('no JSON')
  t.equal(await client.nextText(), 'raw no JSON')
})

test('a validator that throws is a fault of the application: 1011 and an error line', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    server: { logger: logs.logger },
    declare: (fastify) => {
      fastify.get('/', {
        websocket: true,
        schema: NUMBER,
        validatorCompiler: () => () => { throw new Error('broken') }
      }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send('{"n":1}')
  t.match(await client.closed, { code: 1011 })
  t.match(await logs.find('websocket connection failed'), {
    level: ERROR, err: { message: 'broken' }
  })
})

for (const answer of ['resolves', 'rejects'] as const) {
  test(`an asynchronous validator that ${answer} lets nothing pass`, async (t) => {
    const logs = new Logs()
    const read: unknown[] = []
    // The types of Fastify demand promises of a library.
    const compilers: object = {
      validatorCompiler: () => async () => {
        if (answer === 'rejects') throw new Error('refused')
        return true
      }
    }
    const { origin } = await serve(t, {
      server: { logger: logs.logger },
      declare: (fastify) => {
        fastify.get('/', { ...compilers, websocket: true, schema: NUMBER }, (connection) => {
          connection.on('data', (message) => { read.push(message) })
        })
      }
    })
    const client = await connect(t, origin)
    const closed = once(client.socket, 'close')
    client.send('{"n":1}')
    const [code] = await closed
    t.equal(code, 1011)
    t.match(await logs.find('websocket connection failed'), {
      level: ERROR, err: { code: 'FST_WS_ASYNC_VALIDATOR' }
    })
    t.same(read, [])
  })
}

test('a message that is nested deeper than a schema can follow is refused with 1008', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      const tree = { type: 'array', items: { $ref: '#/definitions/tree' } }
      const incoming = { ...tree, definitions: { tree } }
      fastify.get('/', { websocket: true, schema: { incoming } }, echo)
    }
  })
  const client = await connect(t, origin)
  client.send('['.repeat(200_000) + ']'.repeat(200_000))
  t.match(await client.closed, { code: 1008, reason: 'message is nested too deep' })
})
