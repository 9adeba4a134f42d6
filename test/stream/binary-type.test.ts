import { test } from 'tap'
import { isBinaryType, toBinaryType } from '../../src/stream/binary-type'

test('knows the types of ws and no other', async (t) => {
  for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) t.ok(isBinaryType(type))
  for (const type of ['', 'buffer', undefined, null, 1]) t.notOk(isBinaryType(type))
})

test('an ArrayBuffer holds the message and nothing of the memory around it', async (t) => {
  const data = Buffer.from('around').subarray(1, 3)
  const result = toBinaryType(data, 'arraybuffer')
  t.ok(result instanceof ArrayBuffer)
  t.strictSame(Buffer.from(result as ArrayBuffer), Buffer.from('ro'))
})
