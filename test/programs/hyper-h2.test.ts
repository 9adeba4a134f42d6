// hyper-h2, the HTTP/2 of Python, as a client that shares no code with Node.js.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'tap'
import { H2C } from '../helpers/http2'
import { whySkip } from '../helpers/optional'
import { echo, serve } from '../helpers/plugin'
import { ROOT, run } from '../helpers/program'
import { portOf } from '../helpers/servers'

const CLIENT = join(ROOT, 'test', 'fixtures', 'h2_client.py')

/** Debian's Python has the package; another one that comes first on the path need not. */
const PYTHON = ['python3', '/usr/bin/python3'].find((file) => {
  return spawnSync(file, ['-c', 'import h2']).status === 0
})

const skip = whySkip(PYTHON !== undefined, 'no Python with h2: install python3-h2')

test('hyper-h2 is offered WebSockets, is echoed and closes cleanly', { skip }, async (t) => {
  const { fastify } = await serve(t, {
    server: H2C, declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  const connected = once(fastify.websocketServer, 'connection')
  const port = String(portOf(fastify.server))
  const output = run(t, PYTHON ?? '', [CLIENT, port, '/echo'])
  const [socket] = await connected
  t.strictSame(await once(socket, 'close'), [4000, Buffer.alloc(0)])
  t.equal(await output, [
    'offered True', 'status 200 chat', 'message hello from h2', 'closed 4000', 'ended', ''
  ].join('\n'))
  t.equal(await run(t, PYTHON ?? '', [CLIENT, port, '/none']), [
    'offered True', 'status 404 None', 'ended', ''
  ].join('\n'))
})
