import { test } from 'tap'
import type { FastifyServerOptions } from 'fastify'
import { createParser } from '../../src/messages/parse'
import { createFastify } from '../helpers/servers'

const PROTO = '{"a":1,"__proto__":{"b":2}}'
const CONSTRUCTOR = '{"a":1,"constructor":{"prototype":{"b":2}}}'
const ESCAPED = '{"a":1,"\\u005f_proto__":{"b":2}}'
const FORBIDDEN = { code: 'FST_WS_INVALID_MESSAGE', closeCode: 1008 }

const OPTIONS: ReadonlyArray<readonly [
  options: FastifyServerOptions, proto: unknown, constructor: unknown
]> = [
  [{}, FORBIDDEN, FORBIDDEN],
  [{ onProtoPoisoning: 'remove' }, '{"a":1}', FORBIDDEN],
  [{ onConstructorPoisoning: 'remove' }, FORBIDDEN, '{"a":1}'],
  [{ onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' }, PROTO, CONSTRUCTOR]
]

for (const [options, proto, constructor] of OPTIONS) {
  test(`prototypes in a message are as ${JSON.stringify(options)} says`, async (t) => {
    const parse = createParser(createFastify(t, options))
    for (const [text, expected] of [[PROTO, proto], [CONSTRUCTOR, constructor]] as const) {
      if (typeof expected === 'string') t.equal(JSON.stringify(parse(text)), expected)
      else t.throws(() => parse(text), FORBIDDEN)
    }
  })
}

test('a parser works on after a text that it has refused', async (t) => {
  const parse = createParser(createFastify(t))
  t.throws(() => parse(ESCAPED), FORBIDDEN)
  t.throws(() => parse('{'), { closeCode: 1007, message: 'message is not valid JSON' })
  t.same(parse('{"a":[1]}'), { a: [1] })
  t.equal(parse('null'), null)
})

test('a text may begin with a byte order mark, as a body may', (t) => {
  const parse = createParser(createFastify(t))
  t.same(parse('\ufeff{"a":1}'), { a: 1 })
  t.throws(() => parse(`\ufeff${PROTO}`), FORBIDDEN)
  t.end()
})
