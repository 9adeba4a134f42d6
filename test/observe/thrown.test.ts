import { test } from 'tap'
import { codeOf, toError } from '../../src/observe/thrown'
import { isDisconnect, isProtocolError } from '../../src/stream/errors'
import { ListenError } from '../../src/errors'

const withCode = (code: unknown): Error => Object.assign(new Error('test'), { code })

test('a lost peer is told by the code of the error', async (t) => {
  for (const code of [
    'ECONNRESET', 'EPIPE', 'ECANCELED', 'FST_WS_ABNORMAL_CLOSE', 'ERR_STREAM_DESTROYED'
  ]) {
    t.equal(isDisconnect(withCode(code)), true, code)
  }
  for (const error of [withCode('ENOENT'), new Error('ECONNRESET'), 'ECONNRESET', null]) {
    t.equal(isDisconnect(error), false)
  }
})

test('a broken rule is told by the code of ws or of zlib', async (t) => {
  t.equal(isProtocolError(withCode('WS_ERR_INVALID_UTF8')), true)
  t.equal(isProtocolError(withCode('Z_DATA_ERROR')), true)
  for (const error of [withCode('ECONNRESET'), withCode(1), new Error('WS_ERR_'), undefined]) {
    t.equal(isProtocolError(error), false)
  }
})

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

test('an error of the plugin has a code, a message and a cause', async (t) => {
  const cause = new Error('cause')
  const error = new ListenError('*:80', 'taken', { cause })
  t.match(error, { code: 'FST_WS_LISTEN', message: 'cannot listen on *:80: taken', cause })
  t.match(error.stack, 'thrown.test.ts')
})
