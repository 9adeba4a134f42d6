import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { Logs, WARN } from '../helpers/logs'
import { echo, serve, type Served } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, listen, portOf } from '../helpers/servers'
import { holdIntervals } from '../helpers/timers'
import { watchProcess } from '../helpers/uncaught'

/** A wait that the test ends. */
function createGate () {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { open, opened }
}

interface Once extends Omit<Served, 'server'> {
  /** In milliseconds. */
  handlerTimeout?: number
}

/** A server whose handlers must not run, or just once, and whose process must not notice. */
async function serveOnce (t: Test, { declare, plugin = {}, handlerTimeout }: Once) {
  const uncaught = watchProcess(t)
  const logs = new Logs()
  let handled = 0
  const { fastify, origin } = await serve(t, {
    server: { logger: logs.logger, ...(handlerTimeout !== undefined && { handlerTimeout }) },
    plugin,
    declare (fastify) {
      declare?.(fastify)
      fastify.get('/ws', { websocket: true }, ({ socket }) => {
        handled++
        socket.on('message', (message) => { socket.send(message) })
      })
    }
  })
  /** Ends the server, so that whatever comes late has come. */
  const finish = async (times: number): Promise<void> => {
    await fastify.close()
    await nextTurn()
    t.equal(handled, times, 'runs of the handler')
    t.strictSame(uncaught, [])
  }
  return { fastify, origin, logs, finish }
}

const EARLY_HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

const ON_SEND: Record<string, (fastify: FastifyInstance) => void> = {
  'no onSend hook': () => {},
  'two onSend hooks that wait for nothing': (fastify) => {
    fastify.addHook('onSend', async () => {})
    fastify.addHook('onSend', async () => {})
  },
  'an onSend hook that waits': (fastify) => {
    fastify.addHook('onSend', async () => { await nextTurn() })
  },
  'an onSend hook that waits longer for the first answer': (fastify) => {
    let calls = 0
    fastify.addHook('onSend', async () => {
      for (let turns = calls++ === 0 ? 20 : 0; turns > 0; turns--) await nextTurn()
    })
  }
}

for (const hook of EARLY_HOOKS) {
  for (const [name, addOnSend] of Object.entries(ON_SEND)) {
    test(`an answer in ${hook} that is not returned is final, with ${name}`, async (t) => {
      const { origin, finish } = await serveOnce(t, {
        declare (fastify) {
          addOnSend(fastify)
          const answer = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
            reply.code(401).send('no')
          }
          // Each kind of hook takes such a function; the overloads do not take their union.
          fastify.addHook(hook as 'onRequest', answer)
        }
      })
      const { statusCode, body } = await refused(t, `${origin}/ws`)
      t.equal(statusCode, 401)
      t.equal(body, 'no')
      await finish(0)
    })
  }
}

const ANSWERS: Record<string, [answer: (reply: FastifyReply) => unknown, status: number]> = {
  'a status alone': [(reply) => reply.code(401).send(), 401],
  'a status for no content': [(reply) => reply.code(204).send(), 204],
  'a redirection': [(reply) => reply.redirect('/login'), 302],
  'the 404 of Fastify': [(reply) => reply.callNotFound(), 404],
  null: [(reply) => reply.code(403).send(null), 403],
  'an error': [(reply) => reply.send(Object.assign(new Error('odd'), { statusCode: 418 })), 418]
}

for (const [name, [answer, status]] of Object.entries(ANSWERS)) {
  for (const where of ['verifyClient', 'an onSend hook'] as const) {
    test(`${name}, late, refuses an upgrade that waits in ${where}`, async (t) => {
      const gate = createGate()
      let calls = 0
      const { origin, finish } = await serveOnce(t, {
        plugin: {
          options: {
            verifyClient: async () => {
              if (where === 'verifyClient') await gate.opened
              return true
            }
          }
        },
        declare (fastify) {
          fastify.addHook('onSend', async () => {
            if (where !== 'verifyClient' && calls++ === 0) await gate.opened
          })
          fastify.addHook('preHandler', async (_request, reply) => {
            // Long after the route has taken the upgrade.
            setImmediate(() => { setImmediate(() => { answer(reply) }) })
          })
        }
      })
      t.equal((await refused(t, `${origin}/ws`)).statusCode, status)
      gate.open()
      await finish(0)
    })
  }
}

test('an upgrade that has an answer already says so in the log', async (t) => {
  const { origin, logs, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async () => { await nextTurn() })
      fastify.addHook('preHandler', async (_request, reply) => { reply.code(401).send('no') })
    }
  })
  t.equal((await refused(t, `${origin}/ws`)).statusCode, 401)
  await finish(0)
  const warnings = logs.lines.filter(({ level }) => level === WARN)
  t.match(warnings, [{ msg: /return reply/ }])
  t.equal(warnings.length, 1)
})

test('a timeout that has begun to answer is not overtaken by verifyClient', async (t) => {
  const gate = createGate()
  const { origin, finish } = await serveOnce(t, {
    handlerTimeout: 50,
    plugin: { options: { verifyClient: async () => { await gate.opened; return true } } },
    declare (fastify) {
      fastify.addHook('onSend', async () => {
        gate.open()
        for (let turns = 10; turns > 0; turns--) await nextTurn()
      })
    }
  })
  t.equal((await refused(t, `${origin}/ws`)).statusCode, 503)
  await finish(0)
})

test('a timeout answers an upgrade whose 101 hangs in an onSend hook', async (t) => {
  const gate = createGate()
  const { origin, finish, logs } = await serveOnce(t, {
    handlerTimeout: 50,
    declare: (fastify) => fastify.addHook('onSend', () => gate.opened)
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 503)
  t.match(JSON.parse(body), { code: 'FST_ERR_HANDLER_TIMEOUT' })
  gate.open()
  await finish(0)
  t.equal(logs.lines.filter(({ msg }) => /a second one is dropped/.test(msg)).length, 1)
})

test('a second answer overtakes a 101 that waits, and the handler does not run', async (t) => {
  const gate = createGate()
  let isFirst = true
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (_request, reply) => {
        if (!isFirst) return
        isFirst = false
        reply.code(403).send('overtaken')
        await gate.opened
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 403)
  t.equal(body, 'overtaken')
  gate.open()
  await finish(0)
})

test('of three answers to an upgrade the first is given', async (t) => {
  const { origin, finish, logs } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async () => { await nextTurn() })
      for (const hook of ['preParsing', 'preValidation'] as const) {
        // Each kind of hook takes such a function; the overloads do not take their union.
        fastify.addHook(hook as 'preValidation', async (_request, reply) => {
          reply.code(401).send(hook)
        })
      }
      fastify.addHook('preHandler', async (_request, reply) => reply.code(403).send('preHandler'))
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(body, 'preParsing')
  t.not(statusCode, 101)
  await finish(0)
  t.equal(logs.lines.filter(({ msg }) => /a second one is dropped/.test(msg)).length, 2)
})

for (const hook of ['onError', 'onSend'] as const) {
  test(`a timeout answers an upgrade whose error hangs in an ${hook} hook`, async (t) => {
    const gate = createGate()
    const { origin, finish } = await serveOnce(t, {
      handlerTimeout: 50,
      declare (fastify) {
        fastify.addHook('preHandler', async () => { throw new Error('odd') })
        fastify.addHook(hook as 'preHandler', () => gate.opened)
      }
    })
    t.equal((await refused(t, `${origin}/ws`)).statusCode, 503)
    gate.open()
    await finish(0)
  })
}

test('a timeout cuts off an answer that has begun and does not go on', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    handlerTimeout: 50,
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        const body = new PassThrough()
        body.write('half')
        return reply.code(401).send(body)
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 401 [^]*half/)
  await finish(0)
})

const SECOND_ERRORS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'an error handler that sends the error': (fastify) => {
    fastify.setErrorHandler((error, _request, reply) => { reply.code(500).send(error) })
  },
  'an error handler that sends text': (fastify) => {
    fastify.setErrorHandler((_error, _request, reply) => {
      reply.code(500).type('text/plain').send('{"message":"odd"}')
    })
  },
  'an error handler that throws': (fastify) => {
    fastify.setErrorHandler(() => { throw new Error('odd') })
  },
  'an error handler that rejects': (fastify) => {
    fastify.setErrorHandler(async () => { throw new Error('odd') })
  }
}

const FAILURES: Record<string, (fastify: FastifyInstance) => unknown> = {
  'a hook that throws': (fastify) => {
    fastify.addHook('preHandler', async () => { throw new Error('odd') })
  },
  'a payload that Fastify cannot send': (fastify) => {
    fastify.addHook('onSend', async (_request, _reply, payload) => {
      return payload === 'no' ? 5 : payload
    })
    fastify.addHook('preHandler', async (_request, reply) => reply.code(401).send('no'))
  },
  'an onSend hook that fails with a refusal': (fastify) => {
    let isFirst = true
    fastify.addHook('onSend', async () => {
      await nextTurn()
      if (isFirst) {
        isFirst = false
        throw new Error('odd')
      }
    })
    fastify.addHook('preHandler', async (_request, reply) => reply.code(401).send('no'))
  }
}

for (const [failure, fail] of Object.entries(FAILURES)) {
  for (const [name, setErrorHandler] of Object.entries(SECOND_ERRORS)) {
    test(`${name} answers after ${failure}`, async (t) => {
      const { origin, finish } = await serveOnce(t, {
        declare (fastify) {
          setErrorHandler(fastify)
          fail(fastify)
          fastify.get('/plain', async () => 'plain')
        }
      })
      const { statusCode, body } = await refused(t, `${origin}/ws`)
      t.ok(Number(statusCode) >= 400, String(statusCode))
      t.match(JSON.parse(body), { message: String })
      await finish(0)
    })
  }
}

test('an answer without a status that overtakes a 101 is a 200', async (t) => {
  const gate = createGate()
  let isFirst = true
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (_request, reply) => {
        if (!isFirst) return
        isFirst = false
        reply.send('overtaken')
        await gate.opened
      })
    }
  })
  t.equal((await refused(t, `${origin}/ws`)).statusCode, 200)
  gate.open()
  await finish(0)
})

const VERIFIERS = {
  none: {},
  'an asynchronous one': { options: { verifyClient: () => nextTurn(true) } }
}

for (const [name, plugin] of Object.entries(VERIFIERS)) {
  test(`handlers may be wrapped in async functions, with verifyClient: ${name}`, async (t) => {
    const { origin, finish } = await serveOnce(t, {
      plugin,
      declare (fastify) {
        fastify.addHook('onRoute', (options) => {
          const { handler } = options
          options.handler = async function (request, reply) {
            return handler.call(this, request, reply)
          }
        })
        fastify.addHook('onSend', async () => { await nextTurn() })
      }
    })
    const client = await connect(t, `${origin}/ws`)
    for (const message of ['one', 'x'.repeat(200_000)]) {
      client.send(message)
      t.equal(await client.nextText(), message)
    }
    client.close()
    await finish(1)
  })
}

const ERROR_HANDLERS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'Fastify answers': () => {},
  'a handler of the application answers': (fastify) => {
    fastify.setErrorHandler((error, _request, reply) => { reply.code(500).send(error) })
  },
  'an asynchronous handler of the application answers': (fastify) => {
    fastify.setErrorHandler(async () => {
      await nextTurn()
      return { message: 'onSend failed' }
    })
  }
}

for (const [name, setErrorHandler] of Object.entries(ERROR_HANDLERS)) {
  test(`${name} when an onSend hook fails with the 101`, async (t) => {
    let isFirst = true
    const { origin, finish } = await serveOnce(t, {
      declare (fastify) {
        setErrorHandler(fastify)
        fastify.addHook('onSend', async () => {
          if (!isFirst) return
          isFirst = false
          throw new Error('onSend failed')
        })
      }
    })
    const { statusCode, body } = await refused(t, `${origin}/ws`)
    t.not(statusCode, 101)
    t.match(JSON.parse(body), { message: 'onSend failed' })
    await finish(0)
  })
}

test('what is written to the raw response after the switch goes nowhere', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onResponse', async (_request, reply) => {
        reply.raw.writeHead(500)
        reply.raw.write('late')
        reply.raw.end('late')
        reply.send('late')
        fastify.server.emit('written')
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('still there')
  t.equal(await client.nextText(), 'still there')
  client.close()
  await finish(1)
})

test('a listener of the response that throws does no harm to the connection', async (t) => {
  const { origin, logs, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        await nextTurn()
        reply.raw.once('finish', () => { throw new Error('odd') })
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.match(await logs.find('websocket response listener failed'), { err: { message: 'odd' } })
  client.close()
  await finish(1)
})

for (const hook of ['preHandler', 'onSend'] as const) {
  test(`no hook sees a 101 when the client has left in ${hook}`, async (t) => {
    const gate = createGate()
    const events = new EventEmitter()
    const statuses: number[] = []
    const { fastify, finish } = await serveOnce(t, {
      declare (fastify) {
        fastify.addHook('onRequestAbort', async (_request) => { events.emit('abort') })
        fastify.addHook(hook as 'preHandler', async () => { await gate.opened })
        fastify.addHook('onResponse', async (_request, { statusCode }) => {
          statuses.push(statusCode)
        })
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    const upgraded = once(fastify.server, 'upgrade')
    client.write(upgradeHead('/ws'))
    await upgraded
    const aborted = once(events, 'abort')
    client.socket.resetAndDestroy()
    await aborted
    gate.open()
    await finish(0)
    t.notOk(statuses.includes(101), String(statuses))
  })
}

test('a client that has left while the handler ran synchronously sees no 101', async (t) => {
  const statuses: number[] = []
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', (request, _reply, done) => {
        request.raw.socket.destroy()
        done()
      })
      fastify.addHook('onResponse', async (_request, reply) => { statuses.push(reply.statusCode) })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws'))
  await client.closed
  await finish(0)
  t.strictSame(statuses, [])
})

test('an upgrade that a hook has hijacked belongs to the application', async (t) => {
  const uncaught = watchProcess(t)
  const stranger = new WebSocketServer({ noServer: true })
  t.teardown(() => { for (const socket of stranger.clients) socket.terminate() })
  let received = 0
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/ws', {
        websocket: true,
        preHandler: async (request, reply) => {
          reply.hijack()
          await nextTurn()
          stranger.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), (socket) => {
            socket.on('message', (message: Buffer) => {
              received += message.length
              socket.send(String(received))
            })
          })
        }
      }, echo)
    }
  })
  const client = await connect(t, `${origin}/ws`)
  for (let i = 1; i <= 10; i++) {
    client.send(Buffer.alloc(50_000))
    t.equal(await client.nextText(), String(i * 50_000))
  }
  client.close()
  await client.closed
  await fastify.close()
  t.strictSame(uncaught, [])
})

test('a hook may read the body that there is not', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    plugin: { options: { verifyClient: () => nextTurn(true) } },
    declare (fastify) {
      fastify.addHook('preParsing', async (_request, _reply, payload) => {
        payload.resume()
        await once(payload, 'end')
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  client.close()
  await finish(1)
})

test('a method other than GET is a 405 that names GET', async (t) => {
  const { fastify, finish } = await serveOnce(t, {})
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws').replace('GET', 'POST'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 405 [^]*\r\nallow: GET\r\n/)
  await finish(0)
})

test('a malformed handshake reaches the error handlers of the application', async (t) => {
  const seen: unknown[] = []
  const { fastify, finish } = await serveOnce(t, {
    plugin: { options: { perMessageDeflate: true } },
    declare (fastify) {
      fastify.addHook('onError', async (_request, _reply, error) => { seen.push(error.code) })
      fastify.setErrorHandler((_error, _request, reply) => { reply.code(418).send('mine') })
    }
  })
  for (const lines of [
    { 'Sec-WebSocket-Protocol': 'a, a' },
    { 'Sec-WebSocket-Extensions': 'permessage-deflate; server_max_window_bits=1' },
    { 'Sec-WebSocket-Key': 'short' },
    { 'Sec-WebSocket-Version': '7' }
  ]) {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/ws', lines))
    await client.closed
    t.match(client.received.toString(), /^HTTP\/1.1 418 [^]*mine$/)
  }
  const code = 'FST_WS_INVALID_HANDSHAKE'
  t.strictSame(seen, [code, code, code, 'FST_WS_UNSUPPORTED_VERSION'])
  await finish(0)
})

test('an extension that the server does not know is not negotiated', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    plugin: { options: { perMessageDeflate: true } }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws', { 'Sec-WebSocket-Extensions': 'x-own; a=1' }))
  await client.until('101 Switching')
  client.write(frame(0x81, 'plain'))
  await client.until('plain')
  client.socket.destroy()
  await finish(1)
})

test('handleProtocols is asked once for each upgrade', async (t) => {
  const asked: string[][] = []
  const { origin, finish } = await serveOnce(t, {
    plugin: {
      options: {
        handleProtocols: (protocols) => {
          asked.push([...protocols])
          return protocols.has('b') ? 'b' : false
        }
      }
    }
  })
  const chosen = await connect(t, `${origin}/ws`, {}, ['a', 'b'])
  t.equal(chosen.socket.protocol, 'b')
  chosen.close()
  t.strictSame(asked, [['a', 'b']])
  await finish(1)
})

const ODD_VALUES: Record<string, unknown> = {
  undefined,
  'a string': 'odd',
  'an object without prototype': Object.create(null),
  'a frozen error': Object.freeze(new Error('odd')),
  'an error with an odd status': Object.assign(new Error('odd'), { statusCode: Symbol('odd') }),
  'an error whose properties throw': Object.defineProperties(new Error('odd'), {
    statusCode: { get () { throw new Error('odd') } },
    code: { get () { throw new Error('odd') } },
    headers: { get () { throw new Error('odd') } }
  }),
  'an error without a readable message': Object.defineProperty(new Error('odd'), 'message', {
    get () { throw new Error('odd') }
  }),
  'a revoked proxy': createRevoked()
}

const UNREADABLE = new Set(['an error with an odd status', 'an error whose properties throw'])

function createRevoked (): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

for (const [name, value] of Object.entries(ODD_VALUES)) {
  for (const onSend of ['passes', 'fails'] as const) {
    test(`${name} thrown by a callback is answered, whose onSend hook ${onSend}`, async (t) => {
      const fail = (): never => { throw value }
      for (const plugin of [
        { origin: fail },
        { origin: async () => fail() },
        { options: { verifyClient: fail } },
        { options: { verifyClient: async () => fail() } },
        { options: { handleProtocols: fail } }
      ]) {
        const { origin, finish } = await serveOnce(t, {
          plugin,
          declare (fastify) {
            if (onSend === 'passes') return
            fastify.addHook('onSend', async () => { throw new Error('odd') })
          }
        })
        const { statusCode } = await refused(t, `${origin}/ws`, { origin: 'http://a.b' }, ['a'])
        // Fastify, which fails to read them, answers some of these with the status that it has.
        t.equal(statusCode, UNREADABLE.has(name) ? 200 : 500)
        await finish(0)
      }
    })
  }

  test(`${name} thrown by rewriteUrl is a 500`, async (t) => {
    const uncaught = watchProcess(t)
    const fastify = createFastify(t, { rewriteUrl: () => { throw value } })
    fastify.register(fastifyWebsocket)
    const origin = await listen(fastify)
    t.equal((await refused(t, `${origin}/ws`)).statusCode, 500)
    t.strictSame(uncaught, [])
  })
}

const VERIFY_ANSWERS: Array<[what: string, status: number, ...answer: unknown[]]> = [
  ['a status without a text', 499, false, 499],
  ['a header with a line break', 403, false, 403, 'no', { 'x-odd': 'a\r\nb' }],
  ['a message that is no text', 500, false, 403, { a: 1 }]
]

for (const [what, status, ...answer] of VERIFY_ANSWERS) {
  for (const isLate of [false, true]) {
    test(`${what} of verifyClient${isLate ? ', late,' : ''} is an answer`, async (t) => {
      const { origin, finish } = await serveOnce(t, {
        plugin: {
          options: {
            verifyClient: (_info, next) => {
              // The types know what verifyClient may answer; these answers do not keep to it.
              const args = answer as Parameters<typeof next>
              if (isLate) setImmediate(() => { next(...args) })
              else next(...args)
            }
          }
        }
      })
      t.equal((await refused(t, `${origin}/ws`)).statusCode, status)
      await finish(0)
    })
  }
}

test('a promise of handleProtocols is no subprotocol', async (t) => {
  for (const answer of [async () => 'a', async () => { throw new Error('odd') }]) {
    const { origin, finish } = await serveOnce(t, {
      // The types refuse it; a program in JavaScript has none.
      plugin: { options: { handleProtocols: answer as never } }
    })
    const { statusCode, body } = await refused(t, `${origin}/ws`, {}, ['a'])
    t.equal(statusCode, 500)
    t.match(JSON.parse(body), { code: 'FST_WS_ASYNC_CALLBACK' })
    await finish(0)
  }
})

for (const isShared of [false, true]) {
  const where = isShared ? ' beside another listener' : ''
  test(`a promise of shouldHandle is no yes${where}`, async (t) => {
    for (const answer of [async () => false, async () => { throw new Error('odd') }]) {
      const { origin, fastify, finish } = await serveOnce(t, {})
      if (isShared) fastify.server.on('upgrade', () => {})
      fastify.websocketServer.shouldHandle = answer
      t.equal((await refused(t, `${origin}/ws`)).statusCode, 500)
      await finish(0)
    }
  })
}

test('a listener of the server that rejects fails the connection', async (t) => {
  const { origin, fastify, logs, finish } = await serveOnce(t, {})
  fastify.websocketServer.on('connection', async () => { throw new Error('odd') })
  const client = await connect(t, `${origin}/ws`)
  t.equal((await client.closed).code, 1011)
  await logs.find('websocket connection failed')
  await finish(1)
})

test('another listener of the server that rejects is a warning', async (t) => {
  const warning = once(process, 'warning')
  const { origin, fastify, finish } = await serveOnce(t, {})
  fastify.websocketServer.on('headers', async () => { throw new Error('odd headers') })
  const client = await connect(t, `${origin}/ws`)
  t.match(await warning, [{ message: 'odd headers' }])
  client.close()
  await finish(1)
})

for (const [what, write] of Object.entries({
  write: (reply: FastifyReply) => { reply.raw.write('body') },
  end: (reply: FastifyReply) => { reply.raw.end('body') }
})) {
  test(`the raw response has no body before the handshake: ${what}`, async (t) => {
    const { fastify, finish } = await serveOnce(t, {
      declare (fastify) {
        fastify.addHook('onSend', async (_request, reply) => { write(reply) })
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/ws'))
    await client.closed
    t.match(client.received.toString(), /^HTTP\/1.1 500 [^]*FST_WS_UNEXPECTED_SWITCH/)
    await finish(0)
  })
}

test('a corked response does not hold the handshake back', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (_request, reply) => { reply.raw.cork() })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  client.close()
  await finish(1)
})

test('a client that does not read its refusal is cut off', async (t) => {
  const intervals = holdIntervals(t)
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        return reply.code(401).send(Buffer.alloc(30_000_000))
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.pause()
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/ws'))
  const [, transport] = await upgraded
  await nextTurn()
  while (!transport.destroyed) {
    intervals.run()
    await nextTurn()
  }
  t.strictSame(intervals.delays, [])
  client.socket.destroy()
  await finish(0)
})

test('a handshake that a hook has spoiled is a 400', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (request) => {
        request.raw.headers['sec-websocket-key'] = 'spoiled'
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 400)
  t.match(JSON.parse(body), { code: 'FST_WS_INVALID_HANDSHAKE' })
  await finish(0)
})

test('handleProtocols that answers nothing chooses none', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    // The types want an answer; a program in JavaScript may give none.
    plugin: { options: { handleProtocols: (() => {}) as never } }
  })
  await t.rejects(connect(t, `${origin}/ws`, {}, ['a']), /subprotocol/)
  await finish(1)
})

test('handleProtocols is asked for an upgrade that the application hands over', async (t) => {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    options: { noServer: true, handleProtocols: (protocols) => protocols.has('b') && 'b' }
  })
  await fastify.ready()
  server.on('upgrade', (request, transport, head) => {
    fastify.websocketServer.handleUpgrade(request, transport, head, () => {})
  })
  const client = await connect(t, origin, {}, ['a', 'b'])
  t.equal(client.socket.protocol, 'b')
})

test('headers of an error that cannot be sent do not keep its answer back', async (t) => {
  const headers = { 'x-odd': 'a\r\nb' }
  const fail = (): never => { throw Object.assign(new Error('odd'), { statusCode: 418, headers }) }
  const fastify = createFastify(t, { rewriteUrl: fail })
  fastify.register(fastifyWebsocket)
  const { statusCode, headers: answered } = await refused(t, `${await listen(fastify)}/ws`)
  t.equal(statusCode, 418)
  t.notOk('x-odd' in answered)
})

test('a 101 behind a head that is out cuts the client off', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(403)
        reply.raw.write('half')
        reply.raw.writeHead(101)
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws'))
  await client.closed
  t.notMatch(client.received.toString(), / 101 /)
  await finish(0)
})

test('what is written to the raw response behind its end goes nowhere', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(403)
        reply.raw.end('no')
        reply.raw.write('late')
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 403)
  t.equal(body, 'no')
  await finish(0)
})

for (const where of ['verifyClient', 'an onSend hook'] as const) {
  test(`a wrapper that loses what a handler returns waits for ${where}`, async (t) => {
    const { origin, finish } = await serveOnce(t, {
      plugin: where === 'verifyClient' ? { options: { verifyClient: () => nextTurn(true) } } : {},
      declare (fastify) {
        fastify.addHook('onRoute', (options) => {
          const { handler } = options
          options.handler = async function (request, reply) { handler.call(this, request, reply) }
        })
        if (where === 'verifyClient') return
        fastify.addHook('onSend', async () => { await nextTurn() })
      }
    })
    const client = await connect(t, `${origin}/ws`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    client.close()
    await finish(1)
  })
}

test('an answer from within handleProtocols is final', async (t) => {
  const replies: FastifyReply[] = []
  const { origin, finish } = await serveOnce(t, {
    plugin: {
      options: {
        handleProtocols: () => {
          replies[0]?.code(401).send('no')
          return 'a'
        }
      }
    },
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => { replies.push(reply) })
    }
  })
  t.equal((await refused(t, `${origin}/ws`, {}, ['a'])).statusCode, 401)
  await finish(0)
})

test('a 101 of a hook keeps none of the headers that were set before', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        reply.hijack()
        reply.raw.setHeader('x-odd', '1')
        reply.raw.writeHead(101)
      })
    }
  })
  const { statusCode, headers } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 500)
  t.notOk('x-odd' in headers)
  await finish(0)
})

test('a 101 of a hook for a client that has left does nothing', async (t) => {
  const gate = createGate()
  const events = new EventEmitter()
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequestAbort', async (_request) => { events.emit('abort') })
      fastify.addHook('preHandler', async (_request, reply) => {
        await gate.opened
        reply.hijack()
        reply.raw.writeHead(101)
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/ws'))
  await upgraded
  const aborted = once(events, 'abort')
  client.socket.resetAndDestroy()
  await aborted
  gate.open()
  await finish(0)
})

test('a refusal for a client that has left leaves no timer behind', async (t) => {
  const intervals = holdIntervals(t)
  const gate = createGate()
  const events = new EventEmitter()
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequestAbort', async (_request) => { events.emit('abort') })
      fastify.addHook('preHandler', async (_request, reply) => {
        await gate.opened
        reply.code(401).send('no')
        events.emit('refused')
        return reply
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/ws'))
  await upgraded
  const aborted = once(events, 'abort')
  client.socket.resetAndDestroy()
  await aborted
  const refused = once(events, 'refused')
  gate.open()
  await refused
  t.strictSame(intervals.delays, [])
  await finish(0)
})

test('Fastify answers when an onSend hook fails with the text of an error handler', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.setErrorHandler((_error, _request, reply) => { reply.code(500).send('text') })
      fastify.addHook('onSend', async () => { throw new Error('onSend failed') })
      fastify.addHook('preHandler', async () => { throw new Error('odd') })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: 'onSend failed' })
  await finish(0)
})
