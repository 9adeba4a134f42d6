import { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

for (const isLate of [false, true]) {
  test(`the checks run in order when they answer ${isLate ? 'late' : 'at once'}`, async (t) => {
    const seen: string[] = []
    const see = (what: string): boolean | Promise<boolean> => {
      seen.push(what)
      return isLate ? Promise.resolve(true) : true
    }
    const { fastify, origin } = await serve(t, {
      plugin: {
        handle ({ socket }) {
          seen.push('handle')
          socket.send('open')
        },
        origin: () => see('origin'),
        options: {
          verifyClient: () => see('verifyClient'),
          handleProtocols () {
            seen.push('handleProtocols')
            return 'a'
          }
        }
      },
      declare (fastify) {
        fastify.addHook('preHandler', async () => { seen.push('preHandler') })
        fastify.addHook('onSend', async () => { seen.push('onSend') })
      }
    })
    const client = await connect(t, origin, {}, ['a'])
    t.equal(await client.nextText(), 'open')
    const checks = ['origin', 'verifyClient', 'handleProtocols']
    t.strictSame(seen.splice(0), ['preHandler', ...checks, 'onSend', 'handle'])
    const malformed = new RawClient(t, portOf(fastify.server))
    malformed.write(upgradeHead('/', { 'Sec-WebSocket-Version': '7' }))
    await malformed.closed
    t.strictSame(seen, ['preHandler', 'onSend'])
  })
}

test('a server without room asks neither origin nor verifyClient', async (t) => {
  const seen: string[] = []
  const { origin } = await serve(t, {
    plugin: {
      handle: echo,
      maxConnections: 1,
      origin: () => seen.push('origin') > 0,
      options: { verifyClient: () => seen.push('verifyClient') }
    }
  })
  await connect(t, origin)
  t.strictSame(seen, ['origin', 'verifyClient'])
  t.equal((await refused(t, origin)).statusCode, 503)
  t.strictSame(seen, ['origin', 'verifyClient'])
})

test('hooks run before verifyClient, and one that answers keeps it from being asked', async (t) => {
  const seen: string[] = []
  const { origin } = await serve(t, {
    plugin: { handle: echo, options: { verifyClient: () => seen.push('verifyClient') } },
    declare: (fastify) => fastify.addHook('preHandler', async (request, reply) => {
      seen.push('preHandler')
      if (request.url === '/no') return reply.code(403).send('no')
    })
  })
  await connect(t, `${origin}/yes`)
  t.strictSame(seen, ['preHandler', 'verifyClient'])
  t.equal((await refused(t, `${origin}/no`)).body, 'no')
  t.strictSame(seen, ['preHandler', 'verifyClient', 'preHandler'])
})
