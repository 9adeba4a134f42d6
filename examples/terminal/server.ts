// A SHELL FOR WHOEVER CONNECTS. It runs with the rights of the user who started it, and it asks
// nobody for a password. It listens on the loopback address alone, but every program of every user
// of this machine reaches that. To learn from; never make it public, and stop it when you are done.
//
//   node --import tsx examples/terminal/server.ts
//   node --import tsx examples/terminal/client.ts
import { spawn, type ChildProcess } from 'node:child_process'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const fastify = Fastify({ logger: { level: 'warn' } })

fastify.register(fastifyWebsocket)

// Web pages reach the loopback address too, any page in a browser on this machine, and browsers
// leave it to the server to refuse WebSockets. No page has business here, and each says its origin.
fastify.addHook('onRequest', async (request, reply) => {
  if (request.headers.origin !== undefined) return reply.code(403).send({ message: 'no pages' })
})

fastify.get('/terminal', { websocket: true }, (connection) => {
  // `detached` makes it the leader of a group, so that what it has started ends with it.
  const shell = spawn(process.env.SHELL ?? 'sh', { detached: true })

  connection.pipe(shell.stdin)
  shell.stdout.pipe(connection, { end: false })
  shell.stderr.pipe(connection, { end: false })

  // After the last byte of both.
  shell.on('close', () => { connection.end() })
  connection.on('close', () => { killGroup(shell) })

  // There is no such shell.
  shell.on('error', (error) => { connection.destroy(error) })
  // Typed after `exit`. Without a listener it would end the server.
  shell.stdin.on('error', () => {})
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => fastify.close())

fastify.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' })
  .then((address) => { console.log(`A shell for every program on ${address}/terminal`) })

function killGroup ({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
