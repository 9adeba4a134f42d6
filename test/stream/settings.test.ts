import { test } from 'tap'
import { MESSAGES } from '../../src/stream/codec'
import { createShared, StreamSettings } from '../../src/stream/settings'

const INVALID = [-1, 0.5, NaN, Infinity, 2 ** 31, '1']

for (const name of ['highWaterMark', 'pauseTimeout']) {
  test(`${name} is an integer from 0 to 2147483647`, async (t) => {
    for (const value of INVALID) {
      t.throws(() => new StreamSettings({ [name]: value }), { code: 'FST_WS_INVALID_OPTION' })
    }
    for (const value of [0, 1, 2 ** 31 - 1]) {
      t.match(new StreamSettings({ [name]: value }), { [name]: value })
    }
  })
}

test('the defaults are bytes, 64 KiB and 10 seconds; null is not given', async (t) => {
  const defaults = { objectMode: false, highWaterMark: 65_536, pauseTimeout: 10_000 }
  t.match(new StreamSettings(), defaults)
  t.match(StreamSettings.defaults, defaults)
  const names = ['highWaterMark', 'pauseTimeout', 'objectMode', 'binary']
  const nothing: object = Object.fromEntries(names.map((name) => [name, null]))
  t.match(new StreamSettings(nothing), defaults)
})

test('binary: false is object mode unless objectMode says otherwise', async (t) => {
  t.equal(new StreamSettings({ binary: false }).objectMode, true)
  t.equal(new StreamSettings({ binary: true }).objectMode, false)
  t.equal(new StreamSettings({ binary: false, objectMode: false }).objectMode, false)
  t.equal(new StreamSettings({ binary: true, objectMode: true }).objectMode, true)
})

test('with a codec of values, only the codec and the object mode are other ones', async (t) => {
  const options = {
    highWaterMark: 1, pauseTimeout: 2, maxBackpressure: 3, closeTimeout: 4, objectMode: false
  }
  for (const given of [options, {}]) {
    const settings = new StreamSettings(given)
    const { highWaterMark, pauseTimeout, maxBackpressure, closeTimeout } = settings
    t.match(settings.withCodec(MESSAGES), {
      objectMode: true,
      codec: MESSAGES,
      duplex: { objectMode: true },
      highWaterMark,
      pauseTimeout,
      maxBackpressure,
      closeTimeout
    })
  }
})

test('for another server, all is the same but what its connections share', async (t) => {
  const shared = createShared()
  for (const objectMode of [false, true]) {
    const settings = new StreamSettings({ maxBackpressure: 3, objectMode })
    const copy = settings.sharing(shared)
    t.equal(copy.counts, shared.counts)
    t.match(copy, { maxBackpressure: 3, objectMode, codec: settings.codec })
    t.equal(copy.sharing(shared), copy)
  }
})
