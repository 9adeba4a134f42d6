import { test } from 'tap'
import type { WebsocketPluginOptions } from '../../src/types'
import { echo, serve } from '../helpers/plugin'
import { Warnings } from '../helpers/warnings'

const CODE = 'FST_WS_SHORT_DELAY'

const SHORT: ReadonlyArray<[options: WebsocketPluginOptions, warning: string]> = [
  [{ heartbeat: 30 }, 'heartbeat is 30 milliseconds. If seconds were meant, write 30000.'],
  [{ closeTimeout: 10 }, 'closeTimeout is 10 milliseconds. If seconds were meant, write 10000.'],
  [{ options: { pauseTimeout: 499 } }, 'options.pauseTimeout is 499 milliseconds.']
]

for (const [plugin, expected] of SHORT) {
  test(`${JSON.stringify(plugin)} works, with a warning in milliseconds and seconds`, async (t) => {
    const warnings = new Warnings(t)
    await serve(t, { plugin })
    const [warning, ...more] = await warnings.with(CODE)
    t.match(warning, expected)
    t.equal(more.length, 0)
  })
}

test('a route with a short heartbeat is warned of once', async (t) => {
  const warnings = new Warnings(t)
  await serve(t, {
    declare: (fastify) => {
      fastify.get('/one', { websocket: { heartbeat: 60 } }, echo)
      fastify.get('/other', { websocket: { heartbeat: 60 } }, echo)
    }
  })
  const [warning, ...more] = await warnings.with(CODE)
  t.match(warning, 'websocket.heartbeat is 60 milliseconds.')
  t.equal(more.length, 0)
})

test('usual delays, 0 and false are nothing to warn of', async (t) => {
  const warnings = new Warnings(t)
  for (const delay of [500, 1000, 30_000]) {
    await serve(t, {
      plugin: { heartbeat: delay, closeTimeout: delay, options: { pauseTimeout: delay } }
    })
  }
  await serve(t, { plugin: { heartbeat: false, closeTimeout: 0, options: { pauseTimeout: 0 } } })
  t.strictSame(await warnings.with(CODE), [])
})
