import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'
import { watchProcess } from '../helpers/uncaught'
import { createGate, serveOnce } from '../helpers/upgrades'

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

test('an answer that comes while onError hooks run is dropped', async (t) => {
  const gate = createGate()
  const { origin, logs, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async () => { throw new Error('odd') })
      fastify.addHook('onError', async (_request, reply) => {
        setImmediate(() => {
          gate.open()
          reply.send('late')
        })
        await gate.opened
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: 'odd' })
  await finish(0)
  t.equal(logs.lines.filter(({ msg }) => /a second one is dropped/.test(msg)).length, 1)
})

test('an onError hook that awaits an answer of its own goes on', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async () => { throw new Error('odd') })
      fastify.addHook('onError', async (_request, reply) => {
        await reply.code(501).send('mine')
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 501)
  t.match(JSON.parse(body), { message: 'odd' })
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

test('an error that a callback of ws throws is a 500', async (t) => {
  const { origin } = await serve(t, {
    plugin: {
      options: {
        handleProtocols: () => {
          const text: unknown = 'not an Error'
          throw text
        }
      }
    },
    declare (fastify) { fastify.get('/', { websocket: true }, echo) }
  })
  const { statusCode, body } = await refused(t, origin, {}, ['a'])
  t.equal(statusCode, 500)
  t.match(body, 'not an Error')
})

/** Errors that an application throws, and the status that Fastify answers with. */
const THROWN: ReadonlyArray<[what: string, error: object, status: number]> = [
  ['a status, a code and headers', {
    statusCode: 429, code: 'APP_TOO_MANY', headers: { 'retry-after': '5', 'content-length': '1' }
  }, 429],
  ['an impossible status and a code that is a number', { statusCode: 200, code: 5 }, 500],
  ['a header that cannot be sent', {
    statusCode: 429, headers: { 'retry-after': '5', 'x-bad': 'a\r\nb', 'x-none': undefined }
  }, 429],
  ['headers that are none', { headers: 'none' }, 500]
]

for (const [what, properties, status] of THROWN) {
  test(`an error with ${what} in handleProtocols is answered as that of a route`, async (t) => {
    const fail = (): never => { throw Object.assign(new Error('application'), properties) }
    const { origin } = await serve(t, {
      plugin: { options: { handleProtocols: fail } },
      declare (fastify) {
        fastify.addHook('onSend', async () => {})
        fastify.get('/', { websocket: true }, echo)
        fastify.get('/plain', fail)
      }
    })
    const { statusCode, headers, body } = await refused(t, origin, {}, ['a'])
    const plain = await fetch(`${origin.replace('ws', 'http')}/plain`)
    t.equal(statusCode, status)
    t.equal(statusCode, plain.status)
    t.equal(body, await plain.text())
    t.equal(headers['retry-after'] ?? null, plain.headers.get('retry-after'))
  })
}

test('headers of an error that cannot be sent do not keep its answer back', async (t) => {
  const headers = { 'x-odd': 'a\r\nb' }
  const fail = (): never => { throw Object.assign(new Error('odd'), { statusCode: 418, headers }) }
  const fastify = createFastify(t, { rewriteUrl: fail })
  fastify.register(fastifyWebsocket)
  const { statusCode, headers: answered } = await refused(t, `${await listen(fastify)}/ws`)
  t.equal(statusCode, 418)
  t.notOk('x-odd' in answered)
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
