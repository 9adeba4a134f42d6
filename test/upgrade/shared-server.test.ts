import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { createFastify, createHttp } from '../helpers/servers'
import { watchProcess } from '../helpers/uncaught'
import { Warnings } from '../helpers/warnings'

/** An application that takes `paths` of a server of the user's, and greets with its name. */
async function createApplication (
  t: Test, server: Server, name: string, paths: string[]
): Promise<FastifyInstance> {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { server } })
  for (const path of paths) {
    fastify.get(path, { websocket: true }, ({ socket }) => { socket.send(name) })
  }
  await fastify.ready()
  return fastify
}

for (const newerCloses of [true, false]) {
  const which = newerCloses ? 'newer' : 'older'
  test(`of two applications the ${which} may close without harm to the other`, async (t) => {
    const { server, origin } = await createHttp(t)
    const older = await createApplication(t, server, 'older', ['/both', '/older'])
    const newer = await createApplication(t, server, 'newer', ['/both', '/newer'])
    const closing = newerCloses ? newer : older
    const living = newerCloses ? 'older' : 'newer'
    const dying = newerCloses ? 'newer' : 'older'
    const client = await connect(t, `${origin}/${dying}`)
    // It does not answer the close frame until it is read.
    client.socket.pause()
    const closed = closing.close()
    await new Promise((resolve) => { setImmediate(resolve) })
    t.equal(await (await connect(t, `${origin}/both`)).nextText(), living)
    t.equal((await refused(t, `${origin}/${dying}`)).statusCode, 503)
    t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
    client.socket.resume()
    await closed
    t.equal(await (await connect(t, `${origin}/both`)).nextText(), living)
    t.equal((await refused(t, `${origin}/${dying}`)).statusCode, 404)
  })
}

test('one listener serves any number of applications and registrations', async (t) => {
  const warnings = new Warnings(t)
  const uncaught = watchProcess(t)
  const { server, origin } = await createHttp(t)
  const names = Array.from({ length: 14 }, (_, i) => `app${i}`)
  for (const name of names) await createApplication(t, server, name, [`/${name}`])
  t.equal(server.listenerCount('upgrade'), 1)
  for (const name of names) t.equal(await (await connect(t, `${origin}/${name}`)).nextText(), name)
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.strictSame([await warnings.codes(), uncaught], [[], []])
})

test('a shouldHandle that throws is a 500 among several applications', async (t) => {
  const { server, origin } = await createHttp(t)
  await createApplication(t, server, 'one', ['/one'])
  const two = await createApplication(t, server, 'two', ['/two'])
  two.websocketServer.shouldHandle = () => { throw new Error('shouldHandle failed') }
  t.equal((await refused(t, `${origin}/two`)).statusCode, 500)
  t.equal(await (await connect(t, `${origin}/one`)).nextText(), 'one')
})
