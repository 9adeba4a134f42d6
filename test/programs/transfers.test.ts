// Large files through the streams of both ends: whole, at the pace of the slower end, and without
// ever being held in memory. The server is a program of its own, so that its memory is its own too.
import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { test, type Test } from 'tap'
import websocketStream from 'websocket-stream'
import { createWebSocketStream, WebSocket } from 'ws'
import { MeasuredExample } from '../helpers/measured'

// A gigabyte goes through it in the end.
t.setTimeout(120_000)

const MEBIBYTE = 1024 * 1024
const SIZE = 100 * MEBIBYTE

/** What a server may hold of it, where 64 KiB may wait in each of a few buffers. */
const MAX_HELD = 4 * MEBIBYTE

/** What goes both ways at once: far more than the buffers of the system have room for. */
const ECHO_SIZE = 50 * MEBIBYTE

const folder = t.testdir()
const large = createLarge()
const files = new MeasuredExample(t, 'file-transfer.ts', { FOLDER: folder })

/** Makes a file of pseudo-random bytes, the same every time, and returns its SHA-256. */
async function createLarge (): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(randomChunks(), async function * (chunks) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      yield chunk
    }
  }, createWriteStream(join(folder, 'large')))
  return hash.digest('hex')
}

function randomChunks (): Readable {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'key'), Buffer.alloc(16, 'start'))
  const zeros = Buffer.alloc(MEBIBYTE)
  return Readable.from(Array.from({ length: SIZE / MEBIBYTE }, () => zeros), { objectMode: false })
    .pipe(cipher)
}

async function hashOf (name: string, part?: { end: number }): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(join(folder, name), part), hash)
  return hash.digest('hex')
}

function openWithWs (url: string): Duplex {
  return createWebSocketStream(new WebSocket(url, { perMessageDeflate: false }))
}

const CLIENTS: Readonly<Record<string, (url: string) => Duplex>> = {
  ws: openWithWs,
  'websocket-stream': (url) => websocketStream(url)
}

for (const [name, open] of Object.entries(CLIENTS)) {
  test(`a download of 100 MB to ${name} is whole, and the server never holds it`, async (t) => {
    const sent = await large
    const origin = await files.origin()
    const before = await files.memory()
    const hash = createHash('sha256')
    await pipeline(open(`${origin}/download/large`), hash)
    t.equal(hash.digest('hex'), sent)
    const { peak } = await files.memory()
    t.ok(peak - before.buffers < MAX_HELD, `${peak - before.buffers} bytes`)
  })

  test(`an upload of 100 MB from ${name} is whole, and the server never holds it`, async (t) => {
    const sent = await large
    const origin = await files.origin()
    const before = await files.memory()
    const connection = open(`${origin}/upload/from-${name}?size=${SIZE}`)
    const answer = once(connection, 'data')
    await pipeline(createReadStream(join(folder, 'large')), connection, { end: false })
    t.equal(String(await answer), sent)
    t.equal(await hashOf(`from-${name}`), sent)
    const { peak } = await files.memory()
    t.ok(peak - before.buffers < MAX_HELD, `${peak - before.buffers} bytes`)
  })
}

/**
 * Reads `size` bytes, with a pause that lasts until the server has come to a halt, and returns
 * their SHA-256.
 */
async function readSlowly (
  t: Test, connection: Duplex, size: number, server: MeasuredExample
): Promise<string> {
  const before = await server.memory()
  const hash = createHash('sha256')
  let received = 0
  let hasPaused = false
  // Who also writes to the connection may not have heard yet that all is written.
  for await (const chunk of connection.iterator({ destroyOnReturn: false })) {
    hash.update(chunk)
    received += chunk.length
    if (received === size) break
    if (hasPaused || received < size / 4) continue
    hasPaused = true
    const { buffers } = await server.halted()
    t.ok(buffers - before.buffers < MAX_HELD, `${buffers - before.buffers} bytes in the pause`)
  }
  t.ok(hasPaused)
  return hash.digest('hex')
}

test('a slow reader makes the server wait, and not hold what it has not read', async (t) => {
  const sent = await large
  const connection = openWithWs(`${await files.origin()}/download/large`)
  t.equal(await readSlowly(t, connection, SIZE, files), sent)
  connection.destroy()
})

test('a slow reader of an echo makes both sides wait', async (t) => {
  await large
  const echo = new MeasuredExample(t, 'global-handler.ts')
  const connection = openWithWs(await echo.origin())
  const part = { end: ECHO_SIZE - 1 }
  const sent = hashOf('large', part)
  const upload = pipeline(createReadStream(join(folder, 'large'), part), connection, { end: false })
  t.equal(await readSlowly(t, connection, ECHO_SIZE, echo), await sent)
  await upload
  connection.destroy()
})
