import { test } from 'tap'
import { BYTES, MESSAGES } from '../../src/stream/codec'

test('a text becomes the same chunk, whether it comes as bytes or as a string', async (t) => {
  for (const text of ['', 'hello', 'Grüße 🙂']) {
    t.same(BYTES.decode(text, false), Buffer.from(text))
    t.same(BYTES.decode(Buffer.from(text), false), Buffer.from(text))
    t.equal(MESSAGES.decode(text, false), text)
    t.equal(MESSAGES.decode(Buffer.from(text), false), text)
  }
})
