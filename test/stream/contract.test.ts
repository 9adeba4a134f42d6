import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { test } from 'tap'
import type { ClientOptions } from 'ws'
import websocketStream = require('websocket-stream')
import { createServer } from '../../src/stream/server'
import { connect as connectClient } from '../helpers/client'
import { createHttp, portOf, type Teardown } from '../helpers/servers'
import { CERTIFICATE } from '../helpers/tls'
import { contract, differences, type Connect, type ContractOptions } from './contract'

type StreamListener = (stream: Duplex) => void
type Serve = (options: ContractOptions & { server: Server }, onStream: StreamListener) => unknown

type CreateHttpServer = typeof createHttp

/** The server of the npm package, whose types are of another version of ws than it has. */
const serveWebsocketStream = websocketStream.createServer as unknown as Serve

/** A server on TLS with the certificate for tests, closed with the test. */
async function createHttps (t: Teardown): Promise<{ server: Server, origin: string }> {
  const server = createHttpsServer(CERTIFICATE)
  t.teardown(() => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, origin: `wss://127.0.0.1:${portOf(server)}` }
}

/** How to connect to a server that `serve` makes. */
function connectTo (
  serve: Serve, createHttpServer: CreateHttpServer = createHttp, clientOptions: ClientOptions = {}
): Connect {
  return async (t, options = {}) => {
    const { server, origin } = await createHttpServer(t)
    const accepted = new Promise<Duplex>((resolve) => { serve({ ...options, server }, resolve) })
    const client = await connectClient(t, origin, { perMessageDeflate: false, ...clientOptions })
    return { stream: await accepted, client }
  }
}

const DEFLATE = { perMessageDeflate: { threshold: 0 } }

const servers: Record<string, Connect> = {
  ours: connectTo(createServer),
  'ours over TLS': connectTo(createServer, createHttps, { ca: CERTIFICATE.cert }),
  'ours with permessage-deflate': connectTo(
    (options, onStream) => createServer({ ...options, ...DEFLATE }, onStream),
    createHttp, { perMessageDeflate: true }
  ),
  'websocket-stream': connectTo(serveWebsocketStream)
}

for (const [name, connect] of Object.entries(servers)) {
  for (const [title, run] of Object.entries(contract)) {
    test(`${name}: ${title}`, (t) => run(t, connect))
  }
  const side = name === 'websocket-stream' ? 'websocketStream' : 'ours'
  for (const difference of differences) {
    test(`${name}: ${difference.name}: ${difference[side]}`, async (t) => {
      t.equal(await difference.observe(t, connect), difference[side])
    })
  }
}

test('permessage-deflate is what the contract ran with', async (t) => {
  const connect = servers['ours with permessage-deflate']
  const pair = await connect?.(t)
  t.equal(pair?.client.socket.extensions, 'permessage-deflate')
})

const serves: Record<string, Serve> = {
  ours: createServer, 'websocket-stream': serveWebsocketStream
}

for (const [name, serve] of Object.entries(serves)) {
  test(`${name}: a client of websocket-stream gets its echo, to the last byte`, async (t) => {
    const { server, origin } = await createHttp(t)
    serve({ server }, (stream: Duplex) => { stream.pipe(stream) })
    const client = websocketStream(origin)
    t.teardown(() => { client.destroy() })
    const sent = Buffer.alloc(1024 * 1024, 'payload')
    const received: Buffer[] = []
    let length = 0
    const complete = new Promise<void>((resolve) => {
      client.on('data', (chunk: Buffer) => {
        received.push(chunk)
        length += chunk.length
        if (length >= sent.length) resolve()
      })
    })
    for (let i = 0; i < sent.length; i += 10_000) client.write(sent.subarray(i, i + 10_000))
    await complete
    t.ok(Buffer.concat(received).equals(sent))
    const closed = once(client, 'close')
    client.end()
    await closed
  })
}
