// The instances are made before our module is loaded, so only its types are imported on top.
import { once } from 'node:events'
import t, { test } from 'tap'
import type fastifyWebsocket from '../src/index'
import { connect } from './helpers/client'
import { createFastify, listen } from './helpers/servers'

function loadPlugin (): typeof fastifyWebsocket {
  return require('../src/index')
}

const [withGet, withOptions, withScopes] = [createFastify(t), createFastify(t), createFastify(t)]

test('an instance that had GET routes before our module was loaded gets a warning', async (t) => {
  withGet.get('/', async () => 'plain')
  const plugin = loadPlugin()
  const warned = once(process, 'warning')
  await withGet.register(plugin)
  const [warning] = await warned
  t.match(warning, {
    code: 'FST_WS_LOADED_LATE', message: /Load it before the instance is created/
  })
})

test('one that had routes of other methods alone gets none', async (t) => {
  // What @fastify/cors declares.
  withOptions.options('*', async () => 'preflight')
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  await withOptions.register(loadPlugin())
  // Warnings come later, in order.
  const last = once(process, 'warning')
  process.emitWarning('the last one')
  await last
  t.strictSame(warnings.map(({ message }) => message), ['the last one'])
})

test('the routes of each scope with the plugin are known, beside another listener', async (t) => {
  for (const prefix of ['/a', '/b']) {
    withScopes.register(async (scope) => {
      await scope.register(loadPlugin())
      scope.get('/hello', { websocket: true }, ({ socket }) => { socket.send(prefix) })
    }, { prefix })
  }
  withScopes.server.on('upgrade', () => {})
  const origin = await listen(withScopes)
  for (const prefix of ['/a', '/b']) {
    for (const path of [`${prefix}/hello`, `${prefix}/hello/`]) {
      t.equal(await (await connect(t, origin + path)).nextText(), prefix, path)
    }
  }
})
