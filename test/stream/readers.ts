import { once } from 'node:events'
import { Writable } from 'node:stream'
import { createWebSocketStream } from 'ws'
import type { SocketStream } from '../../src/stream/duplex'
import { turn } from '../helpers/streams'

/** Reads `length` characters of messages from a connection, and returns them. */
export type Reader = (connection: SocketStream, length: number) => Promise<string>

/** Calls back with a message; resolves when `length` characters have come. */
function collect (
  length: number, listen: (take: (data: unknown) => void) => void
): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    listen((data) => {
      text += String(data)
      if (text.length >= length) resolve(text)
    })
  })
}

/** Repeats `next` until there are `length` characters, with a pause in between. */
async function repeat (length: number, next: () => Promise<unknown[]>): Promise<string> {
  let text = ''
  for (let i = 0; text.length < length; i++) {
    const [data] = await next()
    text += String(data)
    if (i % 100 === 0) await turn()
  }
  return text
}

/** Every way to read a connection. */
export const readers: Record<string, Reader> = {
  data: (connection, length) => collect(length, (take) => connection.on('data', take)),

  readable: (connection, length) => collect(length, (take) => {
    connection.on('readable', () => {
      for (let chunk = connection.read(); chunk !== null; chunk = connection.read()) take(chunk)
    })
  }),

  pipe: (connection, length) => collect(length, (take) => {
    connection.pipe(new Writable({
      write (chunk, _encoding, callback) {
        take(chunk)
        setImmediate(callback)
      }
    }))
  }),

  async 'for await' (connection, length) {
    let text = ''
    for await (const chunk of connection) {
      text += String(chunk)
      if (text.length >= length) break
    }
    return text
  },

  'repeated events.once on the stream': (connection, length) =>
    repeat(length, () => once(connection, 'data')),

  "socket.on('message')": ({ socket }, length) =>
    collect(length, (take) => socket.on('message', take)),

  "socket.prependListener('message')": ({ socket }, length) =>
    collect(length, (take) => socket.prependListener('message', take)),

  "socket.once('message')": ({ socket }, length) => collect(length, (take) => {
    const next = (): void => {
      socket.once('message', (data) => {
        take(data)
        process.nextTick(next)
      })
    }
    next()
  }),

  'repeated events.once on the socket': ({ socket }, length) =>
    repeat(length, () => once(socket, 'message')),

  addEventListener: ({ socket }, length) => collect(length, (take) => {
    socket.addEventListener('message', ({ data }) => { take(data) })
  }),

  onmessage: ({ socket }, length) => collect(length, (take) => {
    socket.onmessage = ({ data }) => { take(data) }
  }),

  createWebSocketStream: ({ socket }, length) => collect(length, (take) => {
    createWebSocketStream(socket).on('data', take)
  })
}
