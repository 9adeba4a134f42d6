import { test } from 'tap'
import type { MessageEvent } from 'ws'
import { guardHandler } from '../../src/stream/event-handler'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { createPair, until } from '../helpers/streams'
import { expectUncaught, watchProcess } from '../helpers/uncaught'

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

for (const event of ['open', 'message', 'error', 'close'] as const) {
  test(`on${event} gives back the handler that was set`, async (t) => {
    const { stream: { socket } } = await createPair(t)
    const name = `on${event}` as const
    const [handler, other] = [(): void => {}, (): void => {}]
    t.equal(socket[name], null)
    socket[name] = handler
    t.equal(socket[name], handler)
    socket.addEventListener(event, other)
    socket[name] = other
    t.equal(socket[name], other)
    t.equal(socket.listenerCount(event), 2, 'the first handler is removed, the listener is not')
    socket[name] = null
    t.equal(socket[name], null)
    t.equal(socket.listenerCount(event), 1)
  })
}

test('a handler that is read from onmessage can be called by the next one', async (t) => {
  const uncaught = watchProcess(t)
  const errors: unknown[] = []
  const fail: () => unknown = async () => { throw FAILURE }
  const { origin } = await serve(t, {
    plugin: {
      errorHandler (error) { errors.push(error) },
      handle ({ socket }) {
        socket.onmessage = fail
        const earlier = socket.onmessage
        socket.onmessage = (event) => earlier(event)
      }
    }
  })
  const client = await connect(t, origin)
  client.send('hi')
  await until(() => errors.length > 0)
  t.strictSame(errors, [FAILURE])
  t.strictSame(uncaught, [])
})

test('handleEvent is looked up at each event', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const calls: string[] = []
  const handler = {
    name: 'handler',
    handleEvent ({ data }: MessageEvent): void { calls.push(`first got ${data}`) }
  }
  socket.addEventListener('message', handler)
  client.send('1')
  await until(() => calls.length === 1)
  handler.handleEvent = function ({ data }) { calls.push(`second of ${this.name} got ${data}`) }
  client.send('2')
  await until(() => calls.length === 2)
  t.strictSame(calls, ['first got 1', 'second of handler got 2'])
})

test('a listener that is called without its socket rejects with its own error', async (t) => {
  const failure = new Error('of the handler')
  expectUncaught(failure)
  const uncaught = watchProcess(t)
  const { stream: { socket } } = await createPair(t)
  socket.addEventListener('message', async () => { throw failure })
  const [listener] = socket.listeners('message')
  listener?.('text', false)
  await until(() => uncaught.length > 0)
  t.strictSame(uncaught.splice(0), [failure])
})
