import { PassThrough } from 'node:stream'
import { test } from 'tap'
import { countedBytes, onceWritten } from '../../src/stream/sent-bytes'

const EVENTS = ['close', 'end', 'error', 'finish']

test('to wait for an ended transport leaves no listener', async (t) => {
  const transport = new PassThrough()
  const before = EVENTS.map((event) => transport.listenerCount(event))
  transport.end('last')
  await new Promise<void>((resolve) => { onceWritten(transport, resolve) })
  t.same(EVENTS.map((event) => transport.listenerCount(event)), before)
})

test('an ended transport that is destroyed too early calls nothing back', async (t) => {
  const transport = new PassThrough({ highWaterMark: 1 })
  transport.on('error', () => {})
  transport.write('this fills the buffer')
  transport.end('unread')
  let isCalled = false
  onceWritten(transport, () => { isCalled = true })
  transport.destroy(new Error('test'))
  await new Promise((resolve) => { transport.once('close', resolve) })
  await new Promise(setImmediate)
  t.notOk(isCalled)
})

test('a transport without counters has received and sent no bytes', (t) => {
  const transport = new PassThrough()
  transport.write('unread')
  for (const without of [null, transport]) {
    t.same(countedBytes(without), { received: 0, sent: 0 })
  }
  t.end()
})
