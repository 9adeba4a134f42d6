import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { JSHandle } from 'playwright-core'
import type { WebsocketConnectionOptions } from '../../src/types'
import {
  browserTest, closeOf, declarePage, nextText, openClient, openPage, type PageClient
} from '../helpers/browser'
import { echo, serve, type Served } from '../helpers/plugin'
import { portOf, type Teardown } from '../helpers/servers'
import { CERTIFICATE } from '../helpers/tls'

/** As {@link serve}, with the page beside what is declared. */
function servePage (t: Teardown, { declare, ...served }: Served) {
  return serve(t, {
    ...served,
    declare: (fastify) => {
      declarePage(fastify)
      declare?.(fastify)
    }
  })
}

function declareEcho (fastify: FastifyInstance): void {
  fastify.get('/echo', { websocket: true }, echo)
}

/** Whether `client` was refused; this is all that a browser tells a page of it. */
async function isRefused (client: JSHandle<PageClient>): Promise<boolean> {
  const events = await client.evaluate(({ events }) => events.join())
  if (events.includes('open')) return false
  const { code, reason, wasClean } = await closeOf(client)
  return code === 1006 && reason === '' && !wasClean && events === 'error,close'
}

// --- Subprotocols ---

browserTest('a page gets the first subprotocol that it offers', async (t) => {
  const { origin } = await servePage(t, { declare: declareEcho })
  const page = await openPage(t, origin)
  for (const [offered, chosen] of [[['a', 'b'], 'a'], [[], '']] as const) {
    const client = await openClient(page, `${origin}/echo`, offered)
    t.equal(await client.evaluate(({ socket }) => socket.protocol), chosen)
  }
})

browserTest('a page gets the subprotocol that handleProtocols chooses', async (t) => {
  const { origin } = await servePage(t, {
    plugin: { options: { handleProtocols: (offered) => offered.has('b') ? 'b' : false } },
    declare: (fastify) => {
      fastify.get('/name', { websocket: true }, ({ socket }) => { socket.send(socket.protocol) })
    }
  })
  const page = await openPage(t, origin)
  const client = await openClient(page, `${origin}/name`, ['a', 'b'])
  t.equal(await client.evaluate(({ socket }) => socket.protocol), 'b')
  t.equal(await nextText(client), 'b', 'the server knows it too')
  // Browsers give up a connection that chooses none of those they offer.
  t.ok(await isRefused(await openClient(page, `${origin}/name`, 'c')))
})

// --- Cookies ---

browserTest('cookies that a hook sets on the 101 come back with what the page asks', async (t) => {
  const { origin } = await servePage(t, {
    declare: (fastify) => {
      fastify.get('/login', {
        websocket: true,
        onRequest: async (_request, reply) => {
          reply.header('set-cookie', ['theme=dark; Path=/', 'session=secret; Path=/; HttpOnly'])
        }
      }, echo)
      fastify.route({
        method: 'GET',
        url: '/cookies',
        handler: async ({ headers }) => headers.cookie ?? 'none',
        wsHandler: ({ socket }, { headers }) => { socket.send(headers.cookie ?? 'none') }
      })
    }
  })
  const page = await openPage(t, origin)
  t.equal(await nextText(await openClient(page, `${origin}/cookies`)), 'none')
  await openClient(page, `${origin}/login`)

  const cookies = 'theme=dark; session=secret'
  t.equal(await nextText(await openClient(page, `${origin}/cookies`)), cookies)
  t.equal(await page.evaluate('fetch("/cookies").then((response) => response.text())'), cookies)
  t.equal(await page.evaluate('document.cookie'), 'theme=dark', 'HttpOnly hides it from scripts')
})

// --- Refusals ---

browserTest('a page whose upgrade a hook refuses sees an error and 1006, no open', async (t) => {
  const { origin } = await servePage(t, {
    declare: (fastify) => {
      fastify.get<{ Querystring: { token?: string } }>('/private', {
        websocket: true,
        onRequest: async ({ query }, reply) => {
          if (query.token !== 'right') return reply.code(401).send({ message: 'who are you?' })
        }
      }, ({ socket }) => { socket.send('welcome') })
    }
  })
  const page = await openPage(t, origin)
  for (const path of ['/private', '/private?token=wrong', '/nowhere']) {
    t.ok(await isRefused(await openClient(page, origin + path)), path)
  }
  t.equal(await nextText(await openClient(page, `${origin}/private?token=right`)), 'welcome')
})

browserTest('a page of another site gets 403 where origin does not allow it', async (t) => {
  const statuses: number[] = []
  const { fastify } = await servePage(t, {
    plugin: { origin: 'same-host' },
    declare: (fastify) => {
      const allowed: Record<string, WebsocketConnectionOptions> = {
        '/own': {},
        '/friends': { origin: ['same-host', /^http:\/\/friend\.test:/] },
        '/open': { origin: false }
      }
      for (const [path, websocket] of Object.entries(allowed)) {
        fastify.get(path, { websocket }, ({ socket }) => { socket.send('welcome') })
      }
      fastify.addHook('onResponse', async (request, { statusCode }) => {
        if (request.ws) statuses.push(statusCode)
      })
    }
  })
  const port = portOf(fastify.server)
  const elsewhere = await servePage(t, {})
  const page = await openPage(t, elsewhere.origin)
  for (const [site, open] of [
    [elsewhere.origin.replace('ws', 'http'), ['/open']],
    [`http://evil.test:${port}`, ['/open']],
    [`http://friend.test:${port}`, ['/friends', '/open']],
    // Of this host, but its pages have no origin.
    [`http://shop.test:${port}/sandbox`, ['/open']],
    [`http://shop.test:${port}`, ['/own', '/friends', '/open']]
  ] as const) {
    await page.goto(site)
    for (const path of ['/own', '/friends', '/open'] as const) {
      const client = await openClient(page, `ws://shop.test:${port}${path}`)
      const isOpen = open.some((each) => each === path)
      if (isOpen) t.equal(await nextText(client), 'welcome', site + path)
      else t.ok(await isRefused(client), site + path)
    }
  }
  t.same(statuses, [403, 403, 101, 403, 403, 101, 403, 101, 101, 403, 403, 101, 101, 101, 101])
})

// --- TLS ---

browserTest('a page of a server with a certificate of its own connects with wss:', async (t) => {
  // The types of Fastify tell an application over https from the others; here it is one.
  const server = { https: CERTIFICATE } as object
  const { origin } = await servePage(t, { server, declare: declareEcho })
  t.match(origin, /^wss:/)
  const page = await openPage(t, origin, { ignoreHTTPSErrors: true })
  const client = await openClient(page, `${origin}/echo`)
  const answers = await client.evaluate(async (client) => {
    client.socket.binaryType = 'arraybuffer'
    client.socket.send('hello')
    client.socket.send(new Uint8Array(100_000))
    return [await client.next(), new Blob([await client.next()]).size]
  })
  t.same(answers, ['hello', 100_000])
  await client.evaluate(({ socket }) => { socket.close(3000, 'thanks') })
  t.same(await closeOf(client), { code: 3000, reason: 'thanks', wasClean: true })
})

// --- Compression ---

const TEXT = 'the same words, again and again. '.repeat(30_000)

browserTest('a page compresses messages as perMessageDeflate says', async (t) => {
  const page = await openPage(t, (await servePage(t, {})).origin)
  for (const [perMessageDeflate, extensions] of [
    [false, ''],
    [true, 'permessage-deflate'],
    [{ serverNoContextTakeover: true }, 'permessage-deflate; server_no_context_takeover'],
    [{ clientNoContextTakeover: true }, 'permessage-deflate; client_no_context_takeover'],
    [
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
    ]
  ] as const) {
    const { fastify, origin } = await serve(t, {
      plugin: { options: { perMessageDeflate } }, declare: declareEcho
    })
    const [[, { socket: transport }], client] = await Promise.all([
      once(fastify.websocketServer, 'connection'), openClient(page, `${origin}/echo`)
    ])
    t.equal(await client.evaluate(({ socket }) => socket.extensions), extensions)
    const isSame = await client.evaluate(async (client, text) => {
      const texts = [text, 'short', text.slice(0, 3000), text]
      for (const text of texts) client.socket.send(text)
      const answers = await Promise.all(texts.map(() => client.next()))
      return answers.every((answer, index) => answer === texts[index])
    }, TEXT)
    t.ok(isSame)
    const { bytesRead, bytesWritten } = transport
    const isCompressed = perMessageDeflate !== false
    t.equal(bytesRead < TEXT.length, isCompressed, `${bytesRead} bytes came`)
    t.equal(bytesWritten < TEXT.length, isCompressed, `${bytesWritten} bytes went`)
  }
})
