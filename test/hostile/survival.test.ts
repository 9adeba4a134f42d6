// The process survives wrong bytes and resets, on each kind of path.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { watchProcess } from '../helpers/uncaught'

const ATTACKS: Record<string, string | Buffer> = {
  'a frame with reserved bits': frame(0xf1, 'hello'),
  'an unmasked frame': Buffer.from([0x81, 0x01, 0x61]),
  'an oversize message': frame(0x82, 'a'.repeat(100)),
  'a frame of an unknown kind': frame(0x8b),
  'invalid UTF-8': frame(0x81, Buffer.from([0xff])),
  'an invalid close code': frame(0x88, Buffer.from([0, 1])),
  'plain HTTP': 'GET / HTTP/1.1\r\n\r\n'
}

for (const path of ['/route', '/handle', '/plain']) {
  for (const [what, bytes] of Object.entries(ATTACKS)) {
    test(`the process survives ${what} on ${path}`, async (t) => {
      const uncaught = watchProcess(t)
      const { fastify, origin } = await serve(t, {
        plugin: { ...(path === '/handle' && { handle: echo }), options: { maxPayload: 99 } },
        declare: (fastify) => {
          fastify.get('/route', { websocket: true }, echo)
          fastify.get('/plain', async () => 'plain')
        }
      })
      for (const isTogether of [true, false]) {
        const client = new RawClient(t, portOf(fastify.server))
        client.write(upgradeHead(path))
        if (!isTogether) await client.until('\r\n\r\n')
        client.write(bytes)
        await client.closed
      }
      const client = await connect(t, `${origin}/route`)
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
      t.strictSame(uncaught, [])
    })
  }
}

for (const path of ['/route', '/plain', '/nothing']) {
  test(`the process survives resets on ${path}: at once, in a hook, later`, async (t) => {
    const uncaught = watchProcess(t)
    const hooked: Array<() => void> = []
    const { fastify, origin } = await serve(t, {
      declare: (fastify) => {
        fastify.addHook('onRequest', async (request) => {
          for (const resolve of hooked.splice(0)) resolve()
          if (request.headers['x-slow'] !== undefined) await nextTurn()
        })
        fastify.get('/route', { websocket: true }, echo)
        fastify.get('/plain', async () => 'plain')
      }
    })
    const atOnce = new RawClient(t, portOf(fastify.server))
    atOnce.socket.write(upgradeHead(path), () => { atOnce.socket.resetAndDestroy() })
    await atOnce.closed

    const inHook = new RawClient(t, portOf(fastify.server))
    const reached = new Promise<void>((resolve) => { hooked.push(resolve) })
    inHook.write(upgradeHead(path, { 'X-Slow': 'yes' }))
    await reached
    inHook.socket.resetAndDestroy()
    await inHook.closed

    const after = new RawClient(t, portOf(fastify.server))
    after.write(upgradeHead(path))
    await after.until('\r\n\r\n')
    after.socket.resetAndDestroy()
    await after.closed

    const client = await connect(t, `${origin}/route`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.strictSame(uncaught, [])
  })
}
