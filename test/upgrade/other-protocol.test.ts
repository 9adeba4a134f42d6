import { execFile } from 'node:child_process'
import {
  Agent as HttpAgent, createServer, IncomingMessage, request as httpRequest,
  type OutgoingHttpHeaders
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { createPlainHead } from '../../src/upgrade/other-protocol'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf, type Teardown } from '../helpers/servers'
import { CERTIFICATE } from '../helpers/tls'
import { Warnings } from '../helpers/warnings'

const H2C = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' }

interface Answer {
  statusCode: number | undefined
  headers: NodeJS.Dict<string | string[]>
  body: Buffer
}

function declareRoutes (fastify: FastifyInstance): void {
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
  fastify.get('/', async (request) => ({ headers: request.headers, ip: request.ip }))
  fastify.post('/', { bodyLimit: 4_000_000 }, async (request) => request.body)
  fastify.get('/raw', async (request) => request.raw.rawHeaders)
  fastify.get('/slow', async (request) => {
    await new Promise((resolve) => { setImmediate(resolve) })
    return `slow ${request.id};`
  })
  fastify.get('/echo', { websocket: true }, echo)
}

/** A client of one connection, which it keeps alive. */
async function createAgent (t: Teardown, isSecure: boolean) {
  const server = isSecure ? { https: CERTIFICATE } : {}
  // The types of Fastify tell the two apart; here it is one application.
  const { fastify, origin } = await serve(t, { server: server as object, declare: declareRoutes })
  const options = { keepAlive: true, maxSockets: 1 }
  const agent = isSecure
    ? new HttpsAgent({ ...options, ca: CERTIFICATE.cert })
    : new HttpAgent(options)
  t.teardown(() => { agent.destroy() })
  const send = (
    method: string, path: string, headers: OutgoingHttpHeaders, chunks: Buffer[] = []
  ): Promise<Answer> => new Promise((resolve, reject) => {
    const request = isSecure ? httpsRequest : httpRequest
    const url = new URL(path, origin.replace('ws', 'http'))
    const req = request(url, { method, headers, agent })
    req.on('error', reject)
    req.on('response', (response) => {
      response.toArray().then((parts) => {
        const { statusCode, headers } = response
        resolve({ statusCode, headers, body: Buffer.concat(parts) })
      }, reject)
    })
    for (const chunk of chunks) req.write(chunk)
    req.end()
  })
  return { fastify, origin, send }
}

for (const [name, isSecure] of [['http', false], ['https', true]] as const) {
  test(`over ${name}, a GET that asks for h2c is answered as plain HTTP`, async (t) => {
    const { send, fastify } = await createAgent(t, isSecure)
    const { statusCode, headers, body } = await send('GET', '/', { ...H2C, cookie: 'a=b' })
    t.equal(statusCode, 200)
    t.not(headers.connection, 'close')
    const seen = JSON.parse(body.toString())
    t.equal(seen.ip, '127.0.0.1')
    t.equal(seen.headers.cookie, 'a=b')
    t.notOk('upgrade' in seen.headers || 'http2-settings' in seen.headers)
    t.notOk('connection' in seen.headers)
    await fastify.close()
  })

  test(`over ${name}, bodies of 1 MB arrive whole, with a length and chunked`, async (t) => {
    const { send, fastify } = await createAgent(t, isSecure)
    const part = Buffer.alloc(100_000, 'abc')
    const parts = Array.from({ length: 10 }, () => part)
    const type = { 'content-type': 'application/octet-stream' }
    const sized = await send(
      'POST', '/', { ...H2C, ...type, 'content-length': 1_000_000 }, parts)
    t.equal(sized.statusCode, 200)
    t.ok(sized.body.equals(Buffer.concat(parts)))
    const chunked = await send(
      'POST', '/', { ...H2C, ...type, 'transfer-encoding': 'chunked' }, parts)
    t.equal(chunked.statusCode, 200)
    t.ok(chunked.body.equals(Buffer.concat(parts)))
    await fastify.close()
  })

  test(`over ${name}, a connection is kept alive for more requests of all kinds`, async (t) => {
    const warnings = new Warnings(t)
    const { send, fastify } = await createAgent(t, isSecure)
    let connections = 0
    fastify.server.prependListener(isSecure ? 'secureConnection' : 'connection', () => {
      connections++
    })
    const post = { ...H2C, 'content-type': 'a/b' }
    for (let i = 0; i < 30; i++) {
      t.equal((await send('GET', '/', H2C)).statusCode, 200)
      t.equal((await send('GET', '/', {})).statusCode, 200)
      t.equal((await send('POST', '/', post, [Buffer.from('x')])).body.toString(), 'x')
    }
    t.equal(connections, 61, 'one connection, handed back to the server 60 times')
    t.strictSame(await warnings.codes(), [], 'no listeners pile up')
    await fastify.close()
  })
}

test('an unknown protocol is ignored, whatever it is', async (t) => {
  const { send } = await createAgent(t, false)
  for (const upgrade of ['TLS/1.0', 'websocket/13', 'foo, bar', 'h2c,TLS/1.0']) {
    const { statusCode } = await send('GET', '/', { connection: 'upgrade', upgrade })
    t.equal(statusCode, 200, upgrade)
  }
})

test('WebSocket is chosen from a list of protocols', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write(
    'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  t.match(await client.until('\r\n\r\n'), /^HTTP\/1.1 101 [^]*Upgrade: websocket\r\n/)
})

test('pipelined requests that ask for h2c are answered in order', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  const head = 'GET /slow HTTP/1.1\r\nHost: x\r\n'
  const upgrade = 'Connection: Upgrade\r\nUpgrade: h2c\r\n'
  client.write(
    `${head}\r\n${head}\r\n${head}${upgrade}\r\n${head}${upgrade}\r\n${head}\r\n` +
    `${head}${upgrade}\r\nGET / HTTP/1.1\r\nHost: x\r\n` +
    'Connection: close, upgrade\r\nUpgrade: a\r\n\r\n')
  await client.closed
  const text = client.received.toString('latin1')
  t.strictSame(
    [...text.matchAll(/slow req-(\w+);/g)].map(([, id]) => id), ['1', '2', '3', '4', '5', '6'])
  t.match(text, /Connection: close\r\n[^]*"ip":"127.0.0.1"}$/i)
})

test('a pipelined WebSocket handshake waits for the answers before it', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write(Buffer.concat([
    Buffer.from('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'), Buffer.from(upgradeHead('/echo')),
    frame(0x81, 'hi')
  ]))
  t.match(await client.until('\x81\x02hi'), /^HTTP\/1.1 200 [^]*slow req-1;HTTP\/1.1 101 /)
})

test('answers on other connections do not let a pipelined upgrade go first', async (t) => {
  let finish = (): void => {}
  const { fastify } = await serve(t, {
    declare (fastify) {
      declareRoutes(fastify)
      fastify.get('/late', (_request, reply) => { finish = () => { reply.send('late') } })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(`GET /late HTTP/1.1\r\nHost: x\r\n\r\n${upgradeHead('/echo')}`)
  await upgraded
  const other = new RawClient(t, portOf(fastify.server))
  other.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await other.closed
  t.equal(client.received.length, 0)
  finish()
  t.match(await client.until(' 101 '), /^HTTP\/1.1 200 [^]*lateHTTP\/1.1 101 /)
})

test('the keep-alive timeout of an earlier request does not end a later one', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) {
      declareRoutes(fastify)
      fastify.get('/timeout', async (request) => `timeout ${request.socket.timeout};`)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(
    'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n' +
    'GET /timeout HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  t.match(await client.until(';HTTP/1.1 200 '), /slow req-1;/)
  t.match(await client.until('timeout '), /timeout 0;/)
})

test('an answer that closes the connection ends what is pipelined behind it', async (t) => {
  let requests = 0
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', async (_request, reply) => {
        requests++
        await new Promise((resolve) => { setImmediate(resolve) })
        reply.header('connection', 'close')
        return 'bye'
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const head = 'GET / HTTP/1.1\r\nHost: x\r\n'
  client.write(`${head}\r\n${head}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`)
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 200 [^]*bye$/)
  t.equal(requests, 1)
})

test('a request for h2c is the last of a socket with a limited number', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) { fastify.get('/', async () => 'plain') }
  })
  fastify.server.maxRequestsPerSocket = 3
  const client = new RawClient(t, portOf(fastify.server))
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 200 [^]*connection: close[^]*plain$/i)
})

test('a client that leaves while an answer before its upgrade is due harms nobody', async (t) => {
  let finish = (): void => {}
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', (_request, reply) => { finish = () => { reply.send('late') } })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  const head = 'GET / HTTP/1.1\r\nHost: x\r\n'
  client.write(`${head}\r\n${head}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`)
  const [, transport] = await upgraded
  transport.destroy()
  await client.closed
  finish()
  t.equal((await fastify.inject('/missing')).statusCode, 404)
})

test('header lines arrive byte for byte', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write(Buffer.from(
    'GET /raw HTTP/1.1\r\nHost: x\r\nLatin: \xe9\xff "\x80\r\nEmpty:\r\nTwice: 1\r\ntWICE: 2\r\n' +
    'Connection: close\r\nConnection: Upgrade, X\r\nUPGRADE: h2c\r\nupgrade: b\r\n\r\n', 'latin1'))
  await client.closed
  const [, body = ''] = client.received.toString().split('\r\n\r\n')
  t.strictSame(JSON.parse(body), [
    'Host', 'x', 'Latin', '\xe9\xff "\x80', 'Empty', '', 'Twice', '1', 'tWICE', '2',
    'Connection', 'close', 'Connection', 'X'
  ])
})

test('an HTTP/1.0 request that asks for h2c is answered as one', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write('GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 200 [^]*Connection: close/i)
})

const HEADER_LIMITS = [[null, 997], [null, 1100], [0, 1500], [10, 9], [10, 40]] as const

for (const [limit, count] of HEADER_LIMITS) {
  test(`${count} headers at a limit of ${limit} are 431 and never parsed again`, async (t) => {
    let requests = 0
    const { fastify } = await serve(t, {
      declare: (fastify) => { fastify.addHook('onRequest', async () => { requests++ }) }
    })
    fastify.server.maxHeadersCount = limit
    const client = new RawClient(t, portOf(fastify.server))
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
    const lines = Array.from({ length: count }, (_, i) => `h${i}: v\r\n`).join('')
    client.write(
      `POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n${lines}` +
      `Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`)
    await client.closed
    // From Node.js 22 on, Node.js itself refuses more than its limit.
    t.match(client.received.toString(), /^HTTP\/1.1 431 (?![^]*HTTP\/)/)
    t.equal(requests, 0)
  })
}

test('a header over several lines, which a lenient parser lets through, becomes one', async (t) => {
  // The types of Fastify leave out what it passes to Node.js.
  const server = { http: { insecureHTTPParser: true } } as object
  const { fastify } = await serve(t, { server, declare: declareRoutes })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(
    'GET /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n' +
    'Folded: a\r\n b\r\n\tc\r\n\r\n')
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 200 [^]*"Folded","a b\\tc"/)
})

test('a line break in a header is refused, should a parser ever let one through', (t) => {
  const request = new IncomingMessage(new Socket())
  Object.assign(request, { method: 'GET', url: '/', rawHeaders: ['a', 'b\r\nc: d'] })
  t.throws(() => createPlainHead(request, createServer()), { code: 'FST_WS_INVALID_HANDSHAKE' })
  t.end()
})

test('curl --http2 is answered', async (t) => {
  const { fastify, origin } = await createAgent(t, false)
  const curl = promisify(execFile)
  const url = origin.replace('ws', 'http')
  const get = await curl('curl', ['--http2', '-s', '-i', url])
  t.match(get.stdout, /^HTTP\/1.1 200 OK\r\n/)
  const body = 'x'.repeat(100_000)
  const type = 'content-type: a/b'
  const post = curl('curl', ['--http2', '-s', '-S', '-H', type, '--data-binary', '@-', url, url])
  post.child.stdin?.end(body)
  t.equal((await post).stdout, body + body)
  await fastify.close()
})

test('the server closes while a plain request is being answered', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write('GET /slow HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  await client.until('slow')
  await fastify.close()
  await client.closed
  t.pass('the idle connection was closed')
})

test('a connection that was answered as plain HTTP can still become a WebSocket', async (t) => {
  const { fastify } = await createAgent(t, false)
  const client = new RawClient(t, portOf(fastify.server))
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  await client.until('127.0.0.1"}')
  client.write(upgradeHead('/echo'))
  await client.until('HTTP/1.1 101 ')
  client.write(frame(0x81, 'hi'))
  await client.until('\x81\x02hi')
  t.pass('a message came back')
})
