import metrics from 'fastify-metrics'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'

/** The line that says how many requests there were. */
function line (route: string, status: number, count: number): string {
  const labels = `{method="GET",route="${route}",status_code="${status}"}`
  return `http_request_duration_seconds_count${labels} ${count}\n`
}

for (const order of ['before', 'after']) {
  test(`loaded ${order} ours, it counts upgrades by route and status`, async (t) => {
    const fastify = createFastify(t)
    if (order === 'after') fastify.register(fastifyWebsocket, { handle: echo })
    await fastify.register(metrics, { endpoint: '/metrics', clearRegisterOnInit: true })
    if (order === 'before') fastify.register(fastifyWebsocket, { handle: echo })
    fastify.get('/rooms/:room', { websocket: true }, echo)
    fastify.get('/refused', {
      websocket: true,
      preHandler: async (_request, reply) => reply.code(403).send('no')
    }, echo)
    const origin = await listen(fastify)

    for (const path of ['/rooms/blue', '/rooms/red', '/of-handle']) {
      const client = await connect(t, origin + path)
      client.send('hello')
      t.equal(await client.nextText(), 'hello', path)
    }
    t.match(await refused(t, `${origin}/refused`), { statusCode: 403 })
    const page = await (await fetch(`${origin.replace('ws', 'http')}/metrics`)).text()
    const counts = [['/rooms/:room', 101, 2], ['/refused', 403, 1]] as const
    for (const [route, status, count] of counts) t.ok(page.includes(line(route, status, count)))
    // As with HTTP, what is declared before the plugin does not get its hooks.
    t.equal(page.includes(line('/*', 101, 1)), order === 'before')
  })
}
