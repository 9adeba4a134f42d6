import { test } from 'tap'
import { compact } from '../../src/stream/compact'

test('a short view of much memory is copied', async (t) => {
  const large = Buffer.alloc(64 * 1024, 'x')
  const copy = compact(large.subarray(10, 13))
  t.equal(copy.toString(), 'xxx')
  t.not(copy.buffer, large.buffer)
  t.ok(copy.buffer.byteLength <= 8 * 1024)
})

test('what is long or all of its memory stays as it is', async (t) => {
  const large = Buffer.alloc(64 * 1024)
  for (const data of [large, large.subarray(0, 4097), Buffer.alloc(4096)]) {
    t.equal(compact(data), data)
  }
})

test('what shares a little memory stays as it is', async (t) => {
  const shared = Buffer.from(new ArrayBuffer(8 * 1024), 10, 3)
  t.equal(compact(shared), shared)
})

test('copies share memory and not their places in it', async (t) => {
  const large = Buffer.alloc(64 * 1024, 'x')
  const copies = Array.from({ length: 5 }, (_, i) => {
    large.fill(i, 0, 3000)
    return compact(large.subarray(0, 3000))
  })
  for (const [i, copy] of copies.entries()) t.strictSame(copy, Buffer.alloc(3000, i))
  t.equal(copies[0]?.buffer, copies[1]?.buffer)
  t.not(copies[0]?.buffer, copies[4]?.buffer)
})
