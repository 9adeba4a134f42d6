import { test } from 'tap'
import { findChromium, whySkip } from '../helpers/chromium'

test('the browser is what CHROMIUM_PATH says, or the first in the usual places', async (t) => {
  t.equal(findChromium({ CHROMIUM_PATH: '/my/chrome' }, [process.execPath]), '/my/chrome')
  t.equal(findChromium({}, ['/nowhere', process.execPath, __filename]), process.execPath)
  t.equal(findChromium({ CHROMIUM_PATH: '' }, ['/nowhere']), null)
})

test('without a browser tests are skipped, but never where CI is set', async (t) => {
  t.match(whySkip(null, {}), 'no Chromium found')
  t.match(whySkip(null, { CI: 'false' }), 'no Chromium found')
  t.throws(() => whySkip(null, { CI: 'true' }), { message: /no Chromium found/ })
  t.equal(whySkip('/usr/bin/chromium', {}), false)
  t.equal(whySkip('/usr/bin/chromium', { CI: 'true' }), false)
})
