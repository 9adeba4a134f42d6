// A server of the built package, and clients of the runtime's own: a program for Deno.
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify()
fastify.register(fastifyWebsocket, { handle: (connection) => { connection.pipe(connection) } })
fastify.get('/hello', async () => 'hello')
fastify.get('/text', { websocket: true }, ({ socket }) => {
  socket.on('message', (message) => { socket.send(message) })
})
fastify.get('/fail', { websocket: true }, async () => { throw new Error('as announced') })
fastify.get('/refused', {
  websocket: true, onRequest: async (_request, reply) => reply.code(401).send()
}, () => {})

const address = await fastify.listen({ port: 0, host: '127.0.0.1' })
const origin = address.replace('http', 'ws')

/** Sends a message, and resolves with the answer or the close code. */
function ask (path, question) {
  return new Promise((resolve) => {
    const client = new WebSocket(origin + path)
    client.binaryType = 'arraybuffer'
    let isOpen = false
    client.onopen = () => {
      isOpen = true
      client.send(question)
    }
    client.onmessage = ({ data }) => {
      resolve(typeof data === 'string' ? data : `binary ${new TextDecoder().decode(data)}`)
      client.close(1000)
    }
    client.onclose = ({ code }) => { resolve(isOpen ? `closed ${code}` : 'refused') }
  })
}

const response = await fetch(`${address}/hello`)
console.log('GET', await response.text())
console.log('text', await ask('/text', 'text'))
console.log('bytes', await ask('/any', new TextEncoder().encode('bytes')))
console.log('a handler that rejects:', await ask('/fail', 'text'))
console.log('a hook that refuses:', await ask('/refused', 'text'))

const left = new WebSocket(`${origin}/text`)
await new Promise((resolve) => { left.onopen = resolve })
const closed = new Promise((resolve) => { left.onclose = ({ code }) => { resolve(code) } })
await fastify.close()
console.log(`fastify.close: closed ${await closed}`)
