import { test } from 'tap'
import { guardHandler } from '../../src/stream/event-handler'

const FAILURE = new Error('handler')

test('the same handler always gives the same listener', async (t) => {
  const report = (): void => {}
  const handler = (): void => {}
  const object = { handleEvent (): void {} }
  t.equal(guardHandler(handler, report), guardHandler(handler, report))
  t.equal(guardHandler(object, report), guardHandler(object, report))
  t.not(guardHandler(handler, report), guardHandler(() => {}, report))
})

test('a function is called with the target, an object as itself', async (t) => {
  const target = {}
  const calls: unknown[] = []
  const listener = guardHandler(function (this: unknown, event: string) {
    calls.push(this, event)
  }, () => {})
  listener.call(target, 'event')
  const object = { handleEvent (event: string): void { calls.push(this, event) } }
  guardHandler(object, () => {}).call(target, 'event')
  t.equal(calls[0], target)
  t.equal(calls[2], object)
  t.strictSame([calls[1], calls[3]], ['event', 'event'])
})

test('a rejection is reported on the target, a throw is thrown', async (t) => {
  const target = {}
  const reported = new Promise<unknown[]>((resolve) => {
    const listener = guardHandler(async () => { throw FAILURE }, function (error) {
      resolve([this, error])
    })
    listener.call(target, 'event')
  })
  const [self, error] = await reported
  t.equal(self, target)
  t.equal(error, FAILURE)
  t.throws(() => { guardHandler(() => { throw FAILURE }, () => {})('event') }, FAILURE)
})
