import { test } from 'tap'
import { givenOf } from '../src/given'

test('keeps what is given, false and 0 included, and drops undefined and null', async (t) => {
  const options = { a: 0, b: false, c: '', d: undefined, e: null }
  t.strictSame(givenOf(options), { a: 0, b: false, c: '' })
  t.strictSame(Object.keys(options), ['a', 'b', 'c', 'd', 'e'])
})
