import { fastifyAutoload } from '@fastify/autoload'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import { fastifyRequestContext } from '@fastify/request-context'
import session from '@fastify/session'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { ROOT } from '../../helpers/program'
import { createFastify, listen } from '../../helpers/servers'

const CLI_APP = join(ROOT, 'test', 'programs', 'cli-app')

/** Registers one after the other what an application could have of plugins. */
const PLUGINS: ReadonlyArray<(fastify: FastifyInstance) => unknown> = [
  (fastify) => fastify.register(cookie),
  (fastify) => fastify.register(session, {
    secret: 'a secret of at least thirty-two characters', cookie: { secure: false }
  }),
  (fastify) => fastify.register(jwt, { secret: 'a secret for tests' }),
  (fastify) => fastify.register(rateLimit, { max: 100 }),
  (fastify) => fastify.register(cors, { origin: true }),
  (fastify) => fastify.register(helmet),
  (fastify) => fastify.register(underPressure, { exposeStatusRoute: true }),
  (fastify) => fastify.register(fastifyStatic, { root: join(CLI_APP, 'public') }),
  (fastify) => fastify.register(swagger),
  (fastify) => fastify.register(fastifyRequestContext)
]

const ORDERS = { first: 0, 'in the middle': 5, last: PLUGINS.length }

async function serveAll (t: Test, before: number): Promise<string> {
  const fastify = createFastify(t)
  for (const register of PLUGINS.slice(0, before)) register(fastify)
  fastify.register(fastifyWebsocket, { handle: echo })
  for (const register of PLUGINS.slice(before)) register(fastify)
  fastify.register(fastifyAutoload, {
    dir: join(CLI_APP, 'routes'), autoHooks: true, routeParams: true
  })
  return listen(fastify)
}

for (const [when, before] of Object.entries(ORDERS)) {
  test(`registered ${when}, ours works beside ten others`, async (t) => {
    const origin = await serveAll(t, before)
    const client = await connect(t, `${origin}/echo`, { origin: 'https://example.com' })
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.match(client.headers, {
      'set-cookie': [/^sessionId=/],
      'x-ratelimit-remaining': '99',
      'access-control-allow-origin': 'https://example.com',
      'x-content-type-options': 'nosniff'
    })
    t.equal(await (await connect(t, `${origin}/news`)).nextText(), 'news')
    for (const path of ['/', '/page.html', '/status', '/nothing']) {
      const client = await connect(t, origin + path)
      client.send(path)
      t.equal(await client.nextText(), path)
    }

    const http = origin.replace('ws', 'http')
    t.match(await (await fetch(`${http}/page.html`)).text(), /page/)
    t.same(await (await fetch(`${http}/status`)).json(), { status: 'ok' })
    t.equal((await fetch(`${http}/echo`)).status, 404)
  })
}
