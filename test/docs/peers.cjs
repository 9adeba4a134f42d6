// Serves one of the packages that the README compares, as its first argument says. On SIGTERM it
// closes as the documentation of the package says.
const { createServer } = require('node:http')

const PEERS = {
  'fastify-websocket': async () => {
    const fastifyWebsocket = require('fastify-websocket')
    const fastify = createFastify()
    fastify.register(fastifyWebsocket)
    fastify.get('/', { websocket: true }, ({ socket }) => { onSocket(socket) })
    fastify.get('/rooms/:room', { websocket: true }, ({ socket }, req, request) => {
      socket.send(`welcome to ${request.params.room}`)
    })
    return listen(fastify)
  },
  '@fastify/websocket': async () => {
    const fastify = createFastify()
    await fastify.register(require('@fastify/websocket'))
    fastify.get('/', { websocket: true }, onSocket)
    fastify.get('/rooms/:room', { websocket: true }, (socket, request) => {
      socket.send(`welcome to ${request.params.room}`)
    })
    return listen(fastify)
  },
  ws: async () => {
    const { WebSocketServer } = require('ws')
    const http = createServer()
    const server = new WebSocketServer({ server: http })
    server.on('connection', onSocket)
    return listenHttp(http, server)
  },
  'websocket-stream': async () => {
    const http = createServer()
    const server = require('websocket-stream').createServer({ server: http }, ({ socket }) => {
      onSocket(socket)
    })
    return listenHttp(http, server)
  }
}

function onSocket (socket) {
  // What was sent before the ping has arrived by now.
  socket.once('ping', () => {
    socket.on('message', (message) => {
      if (String(message) === 'throw') throw new Error('as announced')
      socket.send(String(message))
    })
  })
}

function createFastify () {
  const fastify = require('fastify')()
  fastify.addHook('onRequest', async (request, reply) => { reply.header('set-cookie', 'seen=yes') })
  return fastify
}

async function listen (fastify) {
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const { port } = fastify.server.address()
  return { server: fastify.websocketServer, port, close: () => fastify.close() }
}

async function listenHttp (http, server) {
  await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve) })
  return {
    server,
    port: http.address().port,
    close: () => {
      server.close()
      http.close()
    }
  }
}

PEERS[process.argv[2]]().then(({ server, port, close }) => {
  process.once('SIGTERM', () => {
    close()
    console.log('closing')
  })
  console.log(`maxPayload ${server.options.maxPayload}`)
  console.log(`on http://127.0.0.1:${port}`)
})
