import { test } from 'tap'
import { cutReason } from '../../src/protocol/close-reason'

const CASES: ReadonlyArray<readonly [title: string, text: string, cut: string]> = [
  ['a short text stays whole', 'text', 'text'],
  ['123 bytes stay whole', 'x'.repeat(123), 'x'.repeat(123)],
  ['124 bytes lose one', 'x'.repeat(124), 'x'.repeat(123)],
  ['a character of two bytes is not cut', `${'x'.repeat(122)}äy`, 'x'.repeat(122)],
  ['a character of three bytes is not cut', `${'x'.repeat(121)}€y`, 'x'.repeat(121)],
  ['a character of four bytes is not cut', `${'x'.repeat(120)}😀y`, 'x'.repeat(120)],
  ['a whole character at the end stays', `${'x'.repeat(119)}😀y`, `${'x'.repeat(119)}😀`],
  ['half a surrogate pair becomes a character that can be sent', '\ud83d', '\ufffd']
]

for (const [title, text, cut] of CASES) {
  test(title, async (t) => { t.equal(cutReason(text), cut) })
}
