import { test } from 'tap'
import { findChromium } from '../helpers/chromium'
import { whySkip } from '../helpers/optional'

test('the browser is what CHROMIUM_PATH says, or the first in the usual places', async (t) => {
  t.equal(findChromium({ CHROMIUM_PATH: '/my/chrome' }, [process.execPath]), '/my/chrome')
  t.equal(findChromium({}, ['/nowhere', process.execPath, __filename]), process.execPath)
  t.equal(findChromium({ CHROMIUM_PATH: '' }, ['/nowhere']), null)
})

test('without its program a test is skipped, but never where CI is set', async (t) => {
  t.equal(whySkip(false, 'no browser', {}), 'no browser')
  t.equal(whySkip(false, 'no browser', { CI: 'false' }), 'no browser')
  t.throws(() => whySkip(false, 'no browser', { CI: 'true' }), { message: 'no browser' })
  t.equal(whySkip(true, 'no browser', {}), false)
  t.equal(whySkip(true, 'no browser', { CI: 'true' }), false)
})
