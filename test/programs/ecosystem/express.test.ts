import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import express from '@fastify/express'
import morgan from 'morgan'
import pinoHttp from 'pino-http'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

/** What Express makes of a response. */
interface ExpressResponse extends ServerResponse {
  status (code: number): this
  json (body: object): this
}

test('Express, which changes the prototype of responses, lets upgrades through', async (t) => {
  const uncaught = watchProcess(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  await fastify.register(express)
  fastify.use((_request: unknown, response: ExpressResponse, next: () => void) => {
    response.setHeader('x-express', 'yes')
    next()
  })
  fastify.use('/forbidden', (_request: unknown, response: ExpressResponse) => {
    response.status(403).json({ from: 'Express' })
  })
  fastify.get('/ws', { websocket: true }, echo)
  fastify.get('/forbidden', { websocket: true }, echo)
  const origin = await listen(fastify)
  const client = await connect(t, `${origin}/ws`)
  t.equal(client.headers['x-express'], 'yes')
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  const { statusCode, body, headers } = await refused(t, `${origin}/forbidden`)
  t.equal(statusCode, 403)
  t.equal(headers.connection, 'close')
  t.strictSame(JSON.parse(body), { from: 'Express' })
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.strictSame(uncaught, [])
  await fastify.close()
})

test('morgan logs an upgrade with the status 101', async (t) => {
  const lines: string[] = []
  const { origin } = await serve(t, {
    declare (fastify) {
      const stream = { write: (line: string) => { lines.push(line) } }
      const log = morgan(':method :url :status', { stream })
      fastify.addHook('onRequest', (request, reply, done) => {
        log(request.raw, reply.raw, () => { done() })
      })
      fastify.get('/ws', { websocket: true }, echo)
    }
  })
  await connect(t, `${origin}/ws`)
  await refused(t, `${origin}/nowhere`)
  t.strictSame(lines, ['GET /ws 101\n', 'GET /nowhere 404\n'])
})

test('pino-http logs an upgrade with the status 101', async (t) => {
  const statuses: unknown[] = []
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      const log = pinoHttp({}, {
        write: (line: string) => {
          const { msg, res } = JSON.parse(line)
          statuses.push([msg, res.statusCode])
          fastify.server.emit('logged')
        }
      })
      fastify.addHook('onRequest', (request, reply, done) => {
        log(request.raw, reply.raw)
        done()
      })
      fastify.get('/ws', { websocket: true }, echo)
    }
  })
  const logged = once(fastify.server, 'logged')
  await connect(t, `${origin}/ws`)
  await logged
  t.strictSame(statuses, [['request completed', 101]])
})
