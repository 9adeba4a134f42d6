// Only one path, only clients with the right token, and only small messages.
import { timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const TOKEN = Buffer.from(`Bearer ${process.env.TOKEN ?? 'open sesame'}`)

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket, {
  handle: (connection) => { connection.pipe(connection) },
  options: {
    path: '/private',
    maxPayload: 1024,
    verifyClient: ({ req }, answer) => {
      if (isToken(req.headers.authorization)) answer(true)
      else answer(false, 401, 'Who are you?', { 'www-authenticate': 'Bearer' })
    }
  }
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Private echo on ${address}/private`) })

function isToken (authorization = ''): boolean {
  const given = Buffer.from(authorization)
  return given.length === TOKEN.length && timingSafeEqual(given, TOKEN)
}
