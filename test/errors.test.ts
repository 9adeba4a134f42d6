import { test } from 'tap'
import { ListenError } from '../src/errors'

test('an error of the plugin has a code, a message and a cause', async (t) => {
  const cause = new Error('cause')
  const error = new ListenError('*:80', 'taken', { cause })
  t.match(error, { code: 'FST_WS_LISTEN', message: 'cannot listen on *:80: taken', cause })
  t.match(error.stack, 'errors.test.ts')
})
