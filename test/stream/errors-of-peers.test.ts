import { test } from 'tap'
import { isDisconnect, isProtocolError } from '../../src/stream/errors'

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
