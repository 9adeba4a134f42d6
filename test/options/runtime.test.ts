import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { checkRuntime } from '../../src/options/runtime'
import { settled } from '../helpers/plugin'
import { createFastify } from '../helpers/servers'

const ERROR = { code: 'FST_WS_UNSUPPORTED_RUNTIME', message: /does not work on Bun: / }

test('Bun is refused, and Node.js is not', async (t) => {
  t.throws(() => { checkRuntime({ ...process.versions, bun: '1.3.0' }) }, ERROR)
  t.doesNotThrow(() => { checkRuntime(process.versions) })
})

test('on Bun, registration fails', async (t) => {
  const versions = { ...process.versions, bun: '1.3.0' }
  const fastify = createFastify(t)
  const original = Object.getOwnPropertyDescriptor(process, 'versions') ?? {}
  t.teardown(() => { Object.defineProperty(process, 'versions', original) })
  Object.defineProperty(process, 'versions', { ...original, value: versions })
  await t.rejects(settled(fastify.register(fastifyWebsocket)), ERROR)
})
