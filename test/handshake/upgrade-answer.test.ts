import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { test } from 'tap'
import { WebSocketServer } from 'ws'
import { connect, refused } from '../helpers/client'
import { WARN } from '../helpers/logs'
import { echo, serve } from '../helpers/plugin'
import { watchProcess } from '../helpers/uncaught'
import { createGate, serveOnce } from '../helpers/upgrades'

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
