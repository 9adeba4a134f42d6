import { EventEmitter, once } from 'node:events'
import { test, type Test } from 'tap'
import { serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { holdIntervals } from '../helpers/timers'
import { createGate, serveOnce, type Once } from '../helpers/upgrades'

test('a client that leaves while a hook waits fires onRequestAbort', async (t) => {
  const gate = createGate()
  const aborts = new EventEmitter()
  let handled = 0
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequestAbort', async (_request) => { aborts.emit('abort') })
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, () => { handled++ })
    }
  })
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const client = new RawClient(t, portOf(fastify.server))
    const requested = once(fastify.server, 'upgrade')
    client.write(upgradeHead('/'))
    await requested
    const aborted = once(aborts, 'abort')
    client.socket[leave]()
    await aborted
    t.pass(leave)
  }
  gate.open()
  await fastify.close()
  t.equal(handled, 0)
})

/** Serves `/ws`. `leave` resets the connection of an upgrade, and waits until Fastify notices. */
async function serveLeaving (t: Test, { declare }: Once) {
  const events = new EventEmitter()
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequestAbort', async (_request) => { events.emit('abort') })
      declare?.(fastify)
    }
  })
  const leave = async (): Promise<void> => {
    const client = new RawClient(t, portOf(fastify.server))
    const upgraded = once(fastify.server, 'upgrade')
    client.write(upgradeHead('/ws'))
    await upgraded
    const aborted = once(events, 'abort')
    client.socket.resetAndDestroy()
    await aborted
  }
  return { leave, finish }
}

for (const hook of ['preHandler', 'onSend'] as const) {
  test(`no hook sees a 101 when the client has left in ${hook}`, async (t) => {
    const gate = createGate()
    const statuses: number[] = []
    const { leave, finish } = await serveLeaving(t, {
      declare (fastify) {
        fastify.addHook(hook as 'preHandler', async () => { await gate.opened })
        fastify.addHook('onResponse', async (_request, { statusCode }) => {
          statuses.push(statusCode)
        })
      }
    })
    await leave()
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

test('a 101 of a hook for a client that has left does nothing', async (t) => {
  const gate = createGate()
  const { leave, finish } = await serveLeaving(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        await gate.opened
        reply.hijack()
        reply.raw.writeHead(101)
      })
    }
  })
  await leave()
  gate.open()
  await finish(0)
})

test('the hooks that run on for a client that has left give no second answer', async (t) => {
  const gate = createGate()
  const hooksEnded = createGate()
  let answers = 0
  const { leave, finish } = await serveLeaving(t, {
    declare (fastify) {
      // This wait ends when the client leaves, while the answer is still in the onSend hook.
      fastify.addHook('onRequest', async (_request, reply) => reply.code(401).send('first'))
      fastify.addHook('preValidation', async (_request, reply) => { reply.send('second') })
      fastify.addHook('preHandler', async (_request, reply) => {
        reply.send('third')
        hooksEnded.open()
      })
      fastify.addHook('onSend', async (_request, _reply, payload) => {
        answers++
        await gate.opened
        return payload
      })
    }
  })
  await leave()
  await hooksEnded.opened
  gate.open()
  await finish(0)
  t.equal(answers, 1)
})

test('a refusal for a client that has left leaves no timer behind', async (t) => {
  const intervals = holdIntervals(t)
  const gate = createGate()
  const refused = createGate()
  const { leave, finish } = await serveLeaving(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        await gate.opened
        reply.code(401).send('no')
        refused.open()
        return reply
      })
    }
  })
  await leave()
  gate.open()
  await refused.opened
  t.strictSame(intervals.delays, [])
  await finish(0)
})
