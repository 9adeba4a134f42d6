import { test } from 'tap'
import { codeOf, toError } from '../../src/observe/thrown'

test('what is no error becomes one, with what was thrown as its cause', async (t) => {
  const error = new RangeError('itself')
  t.equal(toError(error), error)
  const thrown = Object.create(null)
  const made = toError(thrown)
  t.equal(made.cause, thrown)
  t.equal(made.message, '[Object: null prototype] {}')
})

test('an error that cannot be read becomes one that can', async (t) => {
  const thrown = Object.defineProperty(new Error('odd'), 'message', { get: fail })
  t.equal(toError(thrown).cause, thrown)
  const { proxy, revoke } = Proxy.revocable(thrown, {})
  revoke()
  t.equal(toError(proxy).cause, proxy)
  t.equal(codeOf(proxy), undefined)
  t.equal(toError({ [Symbol.for('nodejs.util.inspect.custom')]: fail }).message,
    'a value that cannot be inspected')
})

function fail (): never {
  throw new Error('read')
}
