// A page over HTTP/2 opens its WebSockets on its own session, if the server offers that.
import type { Http2Session } from 'node:http2'
import { BOTH, H2 } from '../helpers/http2'
import {
  browserTest, closeOf, declarePage, nextText, openClient, openPage
} from '../helpers/browser'
import { echo, serve } from '../helpers/plugin'

const SECURE = { ignoreHTTPSErrors: true }

const SERVERS: ReadonlyArray<readonly [
  string, server: object, extendedConnect: boolean | undefined, version: string
]> = [
  ['HTTP/2 alone', H2, undefined, '2.0'],
  ['both versions, with extendedConnect', BOTH, true, '2.0'],
  ['both versions', BOTH, undefined, '1.1']
]

for (const [name, server, extendedConnect, version] of SERVERS) {
  browserTest(`over a server of ${name}, a page uses HTTP/${version}`, async (t) => {
    const sessions: Http2Session[] = []
    const { fastify, origin } = await serve(t, {
      server,
      plugin: { options: { extendedConnect } },
      declare (fastify) {
        declarePage(fastify)
        fastify.get('/version', { websocket: true }, ({ socket }, req) => {
          socket.send(req.httpVersion)
        })
      }
    })
    fastify.server.on('session', (session) => { sessions.push(session) })
    const page = await openPage(t, origin.replace('https', 'wss'), SECURE)
    for (let i = 0; i < 3; i++) {
      const client = await openClient(page, `${origin.replace('https', 'wss')}/version`)
      t.equal(await nextText(client), version)
    }
    t.equal(sessions.length, 1, 'that of the page')
  })
}

browserTest('over HTTP/2 a page has all that it has over HTTP/1', async (t) => {
  const ends: unknown[] = []
  const { origin: address } = await serve(t, {
    server: H2,
    plugin: { options: { perMessageDeflate: true } },
    declare (fastify) {
      declarePage(fastify)
      fastify.addHook('onRequest', async (request, reply) => {
        if (request.url === '/private') return reply.code(401).send()
        if (request.ws) reply.header('set-cookie', ['a=1; Path=/', 'b=2; Path=/'])
      })
      for (const path of ['/echo', '/private']) {
        fastify.get(path, { websocket: true }, function (connection, req, request) {
          connection.socket.on('close', (code, reason) => { ends.push([code, String(reason)]) })
          return echo.call(this, connection, req, request)
        })
      }
    }
  })
  const origin = address.replace('https', 'wss')
  const page = await openPage(t, origin, SECURE)
  const client = await openClient(page, `${origin}/echo/`, ['a', 'b'])
  t.equal(await client.evaluate(({ socket }) => socket.protocol), 'a')
  t.equal(await client.evaluate(({ socket }) => socket.extensions), 'permessage-deflate')
  t.equal(await page.evaluate('document.cookie'), 'a=1; b=2')
  const isSame = await client.evaluate(async (client) => {
    const text = 'the same words. '.repeat(30_000)
    client.socket.binaryType = 'arraybuffer'
    client.socket.send(text)
    client.socket.send(new Uint8Array(500_000))
    return [await client.next() === text, new Blob([await client.next()]).size]
  })
  t.same(isSame, [true, 500_000])
  await client.evaluate(({ socket }) => { socket.close(3000, 'thanks') })
  t.same(await closeOf(client), { code: 3000, reason: 'thanks', wasClean: true })
  t.same(ends, [[3000, 'thanks']])
  const refused = await openClient(page, `${origin}/private`)
  t.match(await closeOf(refused), { code: 1006, wasClean: false })
})

browserTest('when the server closes, a page over HTTP/2 is told 1001', async (t) => {
  const { fastify, origin: address } = await serve(t, {
    server: H2, plugin: { handle: echo }, declare: declarePage
  })
  const origin = address.replace('https', 'wss')
  const page = await openPage(t, origin, SECURE)
  const clients = await Promise.all([1, 2, 3].map(() => openClient(page, `${origin}/any`)))
  await fastify.close()
  for (const client of clients) t.match(await closeOf(client), { code: 1001, wasClean: true })
})
