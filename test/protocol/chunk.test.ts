import { test } from 'tap'
import { Chunk } from '../../src/protocol/chunk'

test('a view is the Buffer that subarray gives', async (t) => {
  const memory = Buffer.from('before, inside and behind')
  const bytes = memory.subarray(8)
  for (const [start, end] of [[0, 6], [3, 10], [0, bytes.length], [4, 4], [17, 17]] as const) {
    const view = new Chunk(bytes).view(start, end)
    t.strictSame(view, bytes.subarray(start, end))
    t.ok(Buffer.isBuffer(view))
    t.equal(Object.getPrototypeOf(view), Buffer.prototype)
    t.equal(view.buffer, bytes.buffer)
    t.equal(view.byteOffset, bytes.subarray(start, end).byteOffset)
  }
})

test('what is written to a view is written to its memory', async (t) => {
  const bytes = Buffer.from('abc')
  new Chunk(bytes).view(1, 2).write('x')
  t.equal(bytes.toString(), 'axc')
})

test('a view that goes past the end of its memory cannot be made', async (t) => {
  t.throws(() => new Chunk(Buffer.from(new ArrayBuffer(3))).view(1, 4), RangeError)
})
