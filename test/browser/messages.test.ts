import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { JSHandle } from 'playwright-core'
import {
  browserTest, closeOf, declarePage, openClient, openPage, type PageClient
} from '../helpers/browser'
import { echo, serve } from '../helpers/plugin'
import type { Teardown } from '../helpers/servers'

const MEGABYTE = 1024 * 1024
const CHUNK = 64 * 1024
const STREAMED = 20 * MEGABYTE

/** A client in a page, of a route that echoes. */
async function openEcho (t: Teardown, path = '/echo'): Promise<JSHandle<PageClient>> {
  const { origin } = await serve(t, {
    plugin: { options: { maxPayload: MEGABYTE } },
    declare: (fastify) => {
      declarePage(fastify)
      fastify.get('/echo', { websocket: true }, echo)
      fastify.get('/pipe', { websocket: true }, (connection) => { connection.pipe(connection) })
    }
  })
  return openClient(await openPage(t, origin), origin + path)
}

browserTest('text comes back as it was sent', async (t) => {
  const client = await openEcho(t)
  const texts = ['hello', '', 'Grüße, 世界 👋', '\0\n"', 'x'.repeat(125), 'x'.repeat(126), ' ']
  const answers = await client.evaluate((client, texts) => {
    for (const text of texts) client.socket.send(text)
    return Promise.all(texts.map(() => client.next()))
  }, texts)
  t.same(answers, texts)
})

for (const path of ['/echo', '/pipe']) {
  browserTest(`binary of every kind comes back from ${path} as binaryType says`, async (t) => {
    const client = await openEcho(t, path)
    for (const [binaryType, name] of [['blob', 'Blob'], ['arraybuffer', 'ArrayBuffer']] as const) {
      const answers = await client.evaluate(async (client, binaryType) => {
        const { socket } = client
        socket.binaryType = binaryType
        const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
        const answers = []
        for (const data of [
          bytes.buffer, bytes.subarray(10, 13), new DataView(bytes.buffer, 254),
          new Blob([bytes.subarray(100, 102), 'ü'])
        ]) {
          socket.send(data)
          const answer = await client.next()
          const { name } = answer.constructor
          answers.push({ name, bytes: [...new Uint8Array(await new Blob([answer]).arrayBuffer())] })
        }
        return answers
      }, binaryType)
      t.same(answers, [
        { name, bytes: [...Array(256).keys()] },
        { name, bytes: [10, 11, 12] },
        { name, bytes: [254, 255] },
        { name, bytes: [100, 101, ...Buffer.from('ü')] }
      ])
    }
  })
}

browserTest('a thousand messages, of both kinds, short and long, keep their order', async (t) => {
  const client = await openEcho(t)
  const answers = await client.evaluate(async (client) => {
    for (let index = 0; index < 1000; index++) {
      const text = String(index).padEnd(index % 7 === 0 ? 5000 : 0)
      client.socket.send(index % 2 === 0 ? text : new TextEncoder().encode(text))
    }
    const answers = []
    for (let index = 0; index < 1000; index++) {
      const answer = await client.next()
      const text = await new Blob([answer]).text()
      answers.push([typeof answer, text.trim(), text.length])
    }
    return answers
  })
  t.same(answers, Array.from({ length: 1000 }, (_, index) => {
    const text = String(index)
    return [index % 2 === 0 ? 'string' : 'object', text, index % 7 === 0 ? 5000 : text.length]
  }))
})

for (const path of ['/echo', '/pipe']) {
  browserTest(`five binary messages of 1 MB come back whole from ${path}`, async (t) => {
    const client = await openEcho(t, path)
    const isSame = await client.evaluate(async (client, length) => {
      client.socket.binaryType = 'arraybuffer'
      const sent = new Uint8Array(5 * length)
      for (let at = 0; at < sent.length; at += 65_536) {
        crypto.getRandomValues(sent.subarray(at, at + 65_536))
      }
      for (let count = 0; count < 5; count++) {
        client.socket.send(sent.subarray(count * length, (count + 1) * length))
      }
      let at = 0
      while (at < sent.length) {
        // With this `binaryType` it is no other kind of message.
        const bytes = new Uint8Array(await client.next() as ArrayBuffer)
        if (!bytes.every((byte, index) => byte === sent[at + index])) return false
        at += bytes.length
      }
      return at === sent.length
    }, MEGABYTE)
    t.ok(isSame)
  })
}

browserTest('texts of 1 MB come back whole', async (t) => {
  const client = await openEcho(t)
  const isSame = await client.evaluate(async (client, length) => {
    // Three bytes each.
    const texts = ['€', '世', '界'].map((character) => character.repeat(length / 3))
    for (const text of texts) client.socket.send(text)
    const answers = await Promise.all(texts.map(() => client.next()))
    return answers.every((answer, index) => answer === texts[index])
  }, MEGABYTE)
  t.ok(isSame)
})

browserTest('a stream of 20 MB reaches the page whole, at the pace of the page', async (t) => {
  let peak = 0
  const { origin } = await serve(t, {
    declare: (fastify) => {
      declarePage(fastify)
      fastify.get('/stream', { websocket: true }, (connection) => {
        const source = function * (): Generator<Buffer> {
          for (let sent = 0; sent < STREAMED; sent += CHUNK) {
            peak = Math.max(peak, connection.writableLength + connection.socket.bufferedAmount)
            yield Buffer.alloc(CHUNK, sent / CHUNK)
          }
        }
        return pipeline(Readable.from(source(), { highWaterMark: 1 }), connection)
      })
    }
  })
  const client = await openClient(await openPage(t, origin), `${origin}/stream`)
  t.same(await closeOf(client), { code: 1000, reason: '', wasClean: true })
  t.equal(await client.evaluate(({ received }) => received), STREAMED)
  t.ok(peak < 8 * CHUNK, `at most ${peak} bytes wait in the server`)
})

browserTest('20 MB that a page sends at once wait in the page for a slow reader', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      declarePage(fastify)
      fastify.get('/echo', { websocket: true }, echo)
      fastify.get('/upload', { websocket: true }, async (connection, { socket }) => {
        const { websocketServer } = fastify
        const hash = createHash('sha256')
        let length = 0
        for await (const chunk of connection) {
          if (length === 0) {
            const isRead = once(websocketServer, 'read')
            websocketServer.emit('waiting', socket)
            await isRead
          }
          hash.update(chunk)
          length += chunk.length
          if (length === STREAMED) break
        }
        websocketServer.emit('uploaded', hash.digest('hex'))
      })
    }
  })
  const page = await openPage(t, origin)
  const client = await openClient(page, `${origin}/upload`)
  const waiting = once(fastify.websocketServer, 'waiting')
  const uploaded = once(fastify.websocketServer, 'uploaded')
  const digest = await client.evaluate(async ({ socket }, [length, chunk]) => {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += chunk) bytes.fill(at / chunk, at, at + chunk)
    for (let at = 0; at < length; at += chunk) socket.send(bytes.subarray(at, at + chunk))
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  }, [STREAMED, CHUNK] as const)

  const [transport] = await waiting
  // Time enough for the page to send more, if the server took it.
  const other = await openClient(page, `${origin}/echo`)
  for (let count = 0; count < 20; count++) {
    await other.evaluate((client) => {
      client.socket.send('hello')
      return client.next()
    })
  }
  t.ok(transport.bytesRead < MEGABYTE, `the server has taken ${transport.bytesRead} bytes`)

  fastify.websocketServer.emit('read')
  t.same(await uploaded, [digest])
  t.match(await closeOf(client), { code: 1000 })
  t.equal(await client.evaluate(({ socket }) => socket.bufferedAmount), 0)
})
