import { test } from 'tap'
import { FrameHeader, isControl } from '../../src/protocol/frame-header'

const KEY = [1, 2, 3, 4]

const HEADERS: ReadonlyArray<[name: string, bytes: number[], fields: object]> = [
  ['a short text', [0x81, 0x85, ...KEY], {
    first: 0x81, isMasked: true, size: 6, length: 5, isFinal: true, opcode: 1, isWholeMessage: true
  }],
  ['a binary message of 126 bytes', [0x82, 0xfe, 0, 126, ...KEY], {
    isMasked: true, size: 8, length: 126, opcode: 2, isWholeMessage: true
  }],
  ['a binary message of 65536 bytes', [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, ...KEY], {
    isMasked: true, size: 14, length: 65_536, isWholeMessage: true
  }],
  ['a length of more than 32 bits', [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 2, ...KEY], {
    size: 14, length: 2 ** 32 + 2
  }],
  ['a frame without a mask', [0x81, 0x05], { isMasked: false, size: 2, length: 5 }],
  ['a compressed message', [0xc1, 0x80, ...KEY], { isWholeMessage: false, opcode: 1 }],
  ['a fragment', [0x01, 0x80, ...KEY], { isFinal: false, isWholeMessage: false, opcode: 1 }],
  ['a ping', [0x89, 0x80, ...KEY], { isFinal: true, isWholeMessage: false, opcode: 9 }]
]

for (const [name, bytes, fields] of HEADERS) {
  test(`the header of ${name} is read, wherever it begins`, async (t) => {
    const header = new FrameHeader()
    for (const start of [0, 3]) {
      const padded = Buffer.from([...Buffer.alloc(start), ...bytes])
      t.equal(header.read(padded, start), true)
      t.match({ ...header, ...gettersOf(header) }, fields)
    }
  })

  test(`a part of the header of ${name} is not a header`, async (t) => {
    for (let length = 0; length < bytes.length; length++) {
      t.equal(new FrameHeader().read(Buffer.from(bytes.slice(0, length)), 0), false, String(length))
    }
  })
}

function gettersOf ({ isFinal, opcode, isWholeMessage }: FrameHeader): object {
  return { isFinal, opcode, isWholeMessage }
}

test('close, ping and pong are control frames', async (t) => {
  t.strictSame([0, 1, 2, 3, 8, 9, 10, 11].map(isControl), [
    false, false, false, false, true, true, true, true
  ])
})
