// Files of any size to and from a folder. `/download/:name` sends one. `/upload/:name?size=…` takes
// one and answers with its SHA-256. Neither side gets further ahead than what fits into the buffers
// on the way, so memory stays small. Whoever reaches it may read and add files of that folder.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const FOLDER = process.env.FOLDER ?? '.'

/** A name that leads nowhere else. */
const PARAMS = {
  type: 'object',
  properties: { name: { type: 'string', pattern: '^\\w[\\w.-]*$' } }
}
const QUERY = {
  type: 'object',
  required: ['size'],
  properties: { size: { type: 'integer', minimum: 0 } }
}

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket)

fastify.get<{ Params: { name: string } }>(
  '/download/:name', { websocket: true, schema: { params: PARAMS } },
  (connection, req, { params }) => {
    return pipeline(createReadStream(join(FOLDER, params.name)), connection)
  })

fastify.get<{ Params: { name: string }, Querystring: { size: number } }>(
  '/upload/:name', { websocket: true, schema: { params: PARAMS, querystring: QUERY } },
  async (connection, req, { params, query }) => {
    const path = join(FOLDER, params.name)
    const file = await open(path, 'wx')
    const hash = createHash('sha256')
    try {
      await pipeline(take(connection, query.size, hash), file.createWriteStream())
    } catch (error) {
      await rm(path)
      throw error
    }
    connection.end(hash.digest('hex'))
  })

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Files on ${address}`) })

/**
 * The first `size` bytes that arrive. A WebSocket has no half-closed state: a client that ended it
 * to say "that was all" would get no answer. So it stays open, and the bytes are counted.
 */
async function * take (connection: Duplex, size: number, hash: Hash): AsyncGenerator<Buffer> {
  let missing = size
  if (missing === 0) return
  for await (const chunk of connection.iterator({ destroyOnReturn: false })) {
    missing -= chunk.length
    if (missing < 0) throw new Error('more bytes than announced')
    hash.update(chunk)
    yield chunk
    if (missing === 0) return
  }
  throw new Error('fewer bytes than announced')
}
