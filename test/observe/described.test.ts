import Ioredis from 'ioredis'
import { test } from 'tap'
import fastifyWebsocket, { type TopicBroker } from '../../src/index'
import { describe } from '../../src/observe/described'
import { settled } from '../helpers/plugin'
import { createFastify } from '../helpers/servers'

const hostile: object = new Proxy({}, { getPrototypeOf () { throw new Error('a trap') } })

const DESCRIBED: ReadonlyArray<readonly [unknown, string]> = [
  [undefined, 'undefined'],
  [null, 'null'],
  [-0, '-0'],
  [1n, '1n'],
  ['text', "'text'"],
  ['x'.repeat(100), `'${'x'.repeat(100)}'`],
  ['x'.repeat(101), `'${'x'.repeat(100)}' and more`],
  [Symbol('a symbol'), 'Symbol(a symbol)'],
  [() => {}, 'a function'],
  [{ password: 'secret' }, 'an object (Object)'],
  [[1], 'an object (Array)'],
  [new Map(), 'an object (Map)'],
  [Object.create(null), 'an object (no class)'],
  [Object.create({ constructor: { name: 7 } }), 'an object (no class)'],
  [hostile, 'an object (no class)']
]

for (const [value, expected] of DESCRIBED) {
  test(`describes ${expected.slice(0, 30)}`, (t) => {
    t.equal(describe(value), expected)
    t.end()
  })
}

test('the error for a wrong option tells no password', async (t) => {
  const client: unknown = new Ioredis({ password: 'secret', lazyConnect: true })
  const fastify = createFastify(t)
  const wrong = { broker: client as TopicBroker }
  const error = await settled(fastify.register(fastifyWebsocket, wrong)).catch(String)
  t.match(error, /got an object \(\w+\)$/)
})
