import { test } from 'tap'
import { givenOf, readOptions } from '../../src/stream/given'

test('keeps what is given, false and 0 included, and drops undefined and null', async (t) => {
  const options = { a: 0, b: false, c: '', d: undefined, e: null }
  t.strictSame(givenOf(options), { a: 0, b: false, c: '' })
  t.strictSame(Object.keys(options), ['a', 'b', 'c', 'd', 'e'])
})

test('reads own and inherited options by their names, and drops undefined and null', async (t) => {
  class Options {
    #a = 1
    get a () { return this.#a }
    get b () { return null }
    e = 5
  }
  const options = Object.assign(Object.create(new Options()), { c: 0, d: undefined, other: 1 })
  t.throws(() => readOptions(options, ['a']), TypeError, 'a private field is of the instance')
  const own = Object.assign(new Options(), { c: 0, d: undefined, other: 1 })
  t.strictSame(readOptions(own, ['a', 'b', 'c', 'd', 'e', 'f']), { a: 1, c: 0, e: 5 })
})
