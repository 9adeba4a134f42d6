// The instance is made before our module is loaded, so only its types are imported on top.
import { once } from 'node:events'
import { test } from 'tap'
import type fastifyWebsocket from '../src/index'
import { createFastify } from './helpers/servers'

function loadPlugin (): typeof fastifyWebsocket {
  return require('../src/index')
}

test('an instance that had routes before our module was loaded gets a warning', async (t) => {
  const fastify = createFastify(t)
  fastify.get('/', async () => 'plain')
  const plugin = loadPlugin()
  const warned = once(process, 'warning')
  await fastify.register(plugin)
  const [warning] = await warned
  t.match(warning, {
    code: 'FST_WS_LOADED_LATE', message: /Load it before the instance is created/
  })
})
