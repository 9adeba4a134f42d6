import { Readable, pipeline } from 'node:stream'
import type { WebsocketHandler } from '../../src/types'
import { echo } from '../helpers/plugin'

/** Resolves after some milliseconds. */
export function wait (ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms) })
}

/** What applications throw: not only what loggers and serializers expect. */
export const THROWN = {
  error: () => new Error('chaos'),
  'frozen error': () => Object.freeze(new Error('chaos')),
  'bare object': () => Object.create(null),
  nothing: () => undefined
}

const CHUNK = Buffer.alloc(64 * 1024, 'x')

function * manyChunks (): Generator<Buffer> {
  for (let i = 0; i < 64; i++) yield CHUNK
}

/** Handlers of applications, by the paths of their routes. */
export const HANDLERS: Record<string, WebsocketHandler> = {
  '/echo': echo,
  '/pipe': (connection) => { connection.pipe(connection) },
  '/iterate': async (connection) => {
    for await (const chunk of connection) connection.write(chunk)
  },
  '/leave-iteration': async (connection) => {
    for await (const chunk of connection) {
      if (connection.write(chunk)) break
    }
  },
  '/late': async ({ socket }) => {
    // The first messages of the client are there before its reader.
    await wait(30)
    socket.on('message', (message) => { socket.send(message) })
  },
  '/silent': () => {},
  '/never': () => new Promise(() => {}),
  '/throw': () => { throw THROWN.error() },
  '/throw-frozen': () => { throw THROWN['frozen error']() },
  '/reject': async () => {
    // The connection is open, and a client may have left it.
    await wait(10)
    throw THROWN['frozen error']()
  },
  '/throw-later': ({ socket }) => {
    socket.on('message', () => { throw THROWN['bare object']() })
    socket.on('ping', () => { throw THROWN.error() })
    socket.on('close', () => { throw THROWN.error() })
  },
  '/reject-later': (connection) => {
    connection.on('data', async () => { throw THROWN['frozen error']() })
    connection.on('close', async () => { throw THROWN.error() })
  },
  '/throw-in-callback': ({ socket }) => {
    socket.send('hello', () => { throw THROWN.error() })
  },
  '/destroy': (connection) => { connection.destroy() },
  '/destroy-with': (connection) => { connection.destroy(THROWN.error()) },
  '/terminate': ({ socket }) => {
    socket.send('last words')
    socket.terminate()
  },
  '/close': ({ socket }) => { socket.close(4000, 'enough') },
  '/end': (connection) => { connection.end('bye') },
  '/end-big': (connection) => { connection.end(Buffer.alloc(4_000_000)) },
  '/send-big': ({ socket }) => {
    for (const chunk of manyChunks()) socket.send(chunk, () => {})
  },
  '/stream': (connection) => { Readable.from(manyChunks()).pipe(connection) },
  '/pipeline': (connection) => { pipeline(manyChunks, connection, () => {}) },
  '/forget': (connection) => {
    connection.socket.removeAllListeners()
    connection.removeAllListeners()
  },
  '/forget-later': ({ socket }) => {
    socket.on('message', () => { socket.removeAllListeners() })
  },
  '/pause': ({ socket }) => {
    socket.on('message', () => {})
    socket.pause()
  }
}
