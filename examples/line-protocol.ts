// A protocol of lines, as over TCP: `SET name value`, `GET name`, `QUIT`. Where messages begin and
// end means nothing to a stream of bytes, so a line may come in pieces, or many lines at once.
import { createInterface } from 'node:readline'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

/** Bytes. A line that never ends would be kept for ever. */
const MAX_LINE = 4096
const CLOSE_TOO_BIG = 1009

const fastify = Fastify({ logger: { level: 'warn' } })
const values = new Map<string, string>()

fastify.register(fastifyWebsocket)

fastify.get('/lines', { websocket: true }, async (connection) => {
  let length = 0
  connection.on('data', (chunk: Buffer) => {
    const end = chunk.lastIndexOf('\n')
    length = end === -1 ? length + chunk.length : chunk.length - end - 1
    if (length <= MAX_LINE) return
    connection.socket.close(CLOSE_TOO_BIG, 'line too long')
    connection.destroy()
  })

  // A CR and its LF may come in two messages, and far apart.
  for await (const line of createInterface({ input: connection, crlfDelay: Infinity })) {
    const [command = '', name = '', ...words] = line.split(' ')
    if (command === 'QUIT') break
    connection.write(`${answer(command, name, words.join(' '))}\n`)
  }
  connection.end('BYE\n')
})

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then((address) => { console.log(`Lines on ${address}/lines`) })

function answer (command: string, name: string, value: string): string {
  switch (command) {
    case 'SET':
      values.set(name, value)
      return 'OK'
    case 'GET': return values.get(name) ?? 'NONE'
    default: return `ERROR ${command} is neither SET nor GET nor QUIT`
  }
}
