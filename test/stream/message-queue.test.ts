import { test } from 'tap'
import { MessageQueue } from '../../src/stream/message-queue'

test('gives the messages in the order they came, and weighs those that are left', (t) => {
  const queue = new MessageQueue(Buffer.from('one'), false)
  queue.push(Buffer.from(''), true)
  queue.push(Buffer.from('three'), false)
  t.equal(queue.weight, 8 + 3 * 64)

  const seen: string[] = []
  do {
    seen.push(`${queue.oldest.data.toString()} ${queue.oldest.isBinary}`)
  } while (queue.advance())
  t.same(seen, ['one false', ' true', 'three false'])
  t.equal(queue.weight, 5 + 64)
  t.end()
})
